// Reads `cache [TTL] [ZONES...] { success CAPACITY [TTL] [MINTTL]; denial ...; servfail DURATION; disable success|denial [ZONES...];
// keepttl; prefetch AMOUNT [DURATION [PERCENTAGE%]]; serve_stale [DURATION [immediate|verify]] }` (CoreDNS plugin/cache/setup.go).
import { type Controller, type Plugin, parseDuration, parseInteger } from '../plugin.ts';
import { Cache, type CacheOptions, type CacheSide } from './handler.ts';

const DEFAULT_CAPACITY = 10_000;
const DEFAULT_PREFETCH_US = 60e6;
const DEFAULT_PREFETCH_PERCENTAGE = 10;
const DEFAULT_STALE_US = 3600e6;
const MAX_SERVFAIL_US = 300e6;

export const cachePlugin: Plugin = {
  name: 'cache',
  setup(c) {
    let options: CacheOptions | undefined;
    c.once(() => {
      options = parse(c);
    });
    const { host, config } = c;
    c.addHandler('cache', (next) => {
      const cache = new Cache(options!, host.clock, host.metrics, config.serverLabel, next);
      return (request, writer) => cache.serve(request, writer);
    });
  },
};

function parse(c: Controller): CacheOptions {
  const success: CacheSide = { capacity: DEFAULT_CAPACITY, maxTtlS: 3600, minTtlS: 5, disabled: [] };
  const denial: CacheSide = { capacity: DEFAULT_CAPACITY, maxTtlS: 1800, minTtlS: 5, disabled: [] };
  const args = c.remainingArgs();
  const ttl = args.length > 0 ? parseInteger(args[0]!) : undefined;
  if (ttl !== undefined) {
    success.maxTtlS = denial.maxTtlS = positiveTtl(ttl);
    args.shift();
  }
  const options: CacheOptions = {
    zones: c.zonesFrom(args),
    success,
    denial,
    servfailS: 5,
    keepTtl: false,
    prefetch: undefined,
    serveStale: undefined,
  };
  while (c.nextBlock()) {
    switch (c.val()) {
      case 'success':
        parseSide(c, success);
        break;
      case 'denial':
        parseSide(c, denial);
        break;
      case 'servfail':
        options.servfailS = parseServfail(c);
        break;
      case 'disable':
        parseDisable(c, options);
        break;
      case 'keepttl':
        c.noMoreArgs();
        options.keepTtl = true;
        break;
      case 'prefetch':
        options.prefetch = parsePrefetch(c);
        break;
      case 'serve_stale':
        options.serveStale = parseServeStale(c);
        break;
      default:
        throw c.argErr();
    }
  }
  return options;
}

function parseSide(c: Controller, side: CacheSide): void {
  const args = c.remainingArgs();
  if (args.length === 0) throw c.argErr();
  side.capacity = integer(args[0]!);
  if (args[1] !== undefined) side.maxTtlS = positiveTtl(integer(args[1]));
  if (args[2] === undefined) return;
  side.minTtlS = integer(args[2]);
  if (side.minTtlS < 0) throw new Error(`cache min TTL can not be negative: ${side.minTtlS}`);
}

function parseServfail(c: Controller): number {
  const args = c.remainingArgs();
  if (args.length !== 1) throw c.argErr();
  const us = parseDuration(args[0]!);
  if (us === undefined) throw new Error(`time: invalid duration "${args[0]}"`);
  if (us < 0) throw new Error('invalid negative ttl for servfail');
  if (us > MAX_SERVFAIL_US) throw new Error('caching SERVFAIL responses over 5 minutes is not permitted');
  return Math.floor(us / 1e6);
}

function parsePrefetch(c: Controller): CacheOptions['prefetch'] {
  const args = c.remainingArgs();
  if (args.length === 0 || args.length > 3) throw c.argErr();
  const amount = integer(args[0]!);
  if (amount < 0) throw new Error(`prefetch amount should be positive: ${amount}`);
  const withinUs = args[1] === undefined ? DEFAULT_PREFETCH_US : parseDuration(args[1]);
  if (withinUs === undefined) throw new Error(`time: invalid duration "${args[1]}"`);
  const percent = args[2] ?? `${DEFAULT_PREFETCH_PERCENTAGE}%`;
  if (!percent.endsWith('%'))
    throw new Error(`last character of percentage should be \`%\`, but is: "${percent.at(-1)}"`);
  const percentage = integer(percent.slice(0, -1));
  if (percentage < 10 || percentage > 90) throw new Error(`percentage should fall in range [10, 90]: ${percentage}`);
  return amount === 0 ? undefined : { amount, withinUs, percentage };
}

function parseServeStale(c: Controller): CacheOptions['serveStale'] {
  const args = c.remainingArgs();
  if (args.length > 2) throw c.argErr();
  const forUs = args[0] === undefined ? DEFAULT_STALE_US : parseDuration(args[0]);
  if (forUs === undefined) throw new Error(`time: invalid duration "${args[0]}"`);
  if (forUs < 0) throw new Error('invalid negative duration for serve_stale');
  const mode = (args[1] ?? 'immediate').toLowerCase();
  if (mode !== 'immediate' && mode !== 'verify') throw new Error(`invalid value for serve_stale refresh mode: ${mode}`);
  return { forUs, verify: mode === 'verify' };
}

function parseDisable(c: Controller, options: CacheOptions): void {
  const [which, ...zones] = c.remainingArgs();
  if (which === undefined) throw c.argErr();
  if (which !== 'success' && which !== 'denial')
    throw new Error('cache type for disable must be "success" or "denial"');
  options[which].disabled = c.zonesFrom(zones);
}

function positiveTtl(ttl: number): number {
  if (ttl <= 0) throw new Error(`cache TTL can not be zero or negative: ${ttl}`);
  return ttl;
}

function integer(text: string): number {
  const value = parseInteger(text);
  if (value === undefined) throw new Error(`strconv.Atoi: parsing "${text}": invalid syntax`);
  return value;
}
