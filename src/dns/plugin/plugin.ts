// What a plugin is: a name and a `setup` that reads its part of the Corefile and adds a handler, or work to do at start and
// stop, to the server block it stands in (CoreDNS plugin.md, coremain, coredns/caddy controller.go). All that a plugin may touch
// of the outside comes through the Host.
import type { Clock } from '../../lib/clock.ts';
import type { Registry } from '../../lib/metrics.ts';
import type { Rng } from '../../lib/rng.ts';
import { CorefileError, Dispenser } from '../corefile/dispenser.ts';
import type { Token } from '../corefile/lexer.ts';
import type { HttpEndpoints } from '../http-endpoints.ts';
import type { ResourceRecord } from '../record.ts';
import type { Handler, Middleware, Request, ResponseWriter, Served } from '../request.ts';
import { normalizeZone } from '../reverse.ts';
import type { DnsSockets } from '../sockets.ts';
import type { ExternalView } from './kubernetes/external.ts';
import type { ObjectSource } from './kubernetes/source.ts';

export interface Host {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly sockets: DnsSockets;
  readonly http: HttpEndpoints;
  readonly metrics: Registry;
  /** Where the kubernetes plugin learns its objects; undefined when there is no API. */
  readonly objects: ObjectSource | undefined;
  /** Text of the resolv.conf that `forward . /etc/resolv.conf` means; '' when there is none. */
  readonly resolvConf: string;
  /** The release this server behaves as, and its host's name. */
  readonly version: string;
  readonly hostname: string;
  /** The server's own addresses, loopback excluded. */
  readonly localAddresses: readonly string[];
  /** Where to listen is settled elsewhere: the plugin bind only names addresses. */
  readonly boundElsewhere: boolean;
  /** TTL of the kubernetes plugin's records in place of the Corefile's; seconds. */
  readonly ttlS: number | undefined;
  /** The text of a file a directive names; undefined when there is none. */
  readFile(path: string): string | undefined;
  log(line: string): void;
  /** Logs the line as fatal and ends the server with exit code 1. */
  fatal(line: string): void;
  /** Asks for the Corefile to be looked at again every so often. */
  watchCorefile(intervalUs: number): void;
}

export interface Plugin {
  readonly name: string;
  /** Throws CorefileError or Error; the message is then prefixed with the plugin's name. */
  setup(c: Controller): void;
}

/**
 * The records of a whole zone in pieces, the SOA first and last; the SOA alone when the client has this serial already. Undefined:
 * not a zone of this plugin.
 */
export type Transferer = (zone: string, serial: number | undefined) => Iterable<readonly ResourceRecord[]> | undefined;

/** What one plugin of a block does for others. */
export interface Links {
  /** Set by `kubernetes`, for `k8s_external`. */
  external?: ExternalView;
  /** Set by `kubernetes`, for `autopath`: the client's search domains. */
  autoPath?: (request: Request) => readonly string[] | undefined;
  /** Set by `root`, for `file`: where files without an absolute path lie. */
  root?: string;
  /** Set by `prometheus`: refuses a question that is in no block's zone, and counts it. */
  dropped?: Handler;
}

/** One server block as it is being put together, and what its plugins have in common. */
export interface BlockConfig {
  /** The zones of the block, normalized, in order. */
  readonly zones: readonly string[];
  /** `dns://:53`; the label of metrics. */
  readonly serverLabel: string;
  readonly handlers: { readonly name: string; readonly middleware: Middleware }[];
  readonly startups: (() => Promise<void> | void)[];
  /** Run once the server answers. */
  readonly started: (() => void)[];
  /** Run on reload and at the end, in order. */
  readonly shutdowns: (() => Promise<void> | void)[];
  /** Run only at the end, before the servers stop. */
  readonly finalShutdowns: (() => Promise<void> | void)[];
  readonly readiness: { readonly name: string; ready(): boolean }[];
  /** The addresses of `bind`; empty: all. */
  readonly bound: string[];
  readonly links: Links;
  /** Those that give whole zones, in the order of the chain. */
  readonly transferers: Transferer[];
  /** Set by `forward`: whether questions leave this server. */
  hasUpstream: boolean;
  /** Asks the block's own chain; usable once the server runs. */
  serve(request: Request, writer: ResponseWriter): Served;
  /** Makes a request that did not come over the network. */
  selfRequest(name: string, type: number): Request;
}

export class Controller extends Dispenser {
  readonly host: Host;
  readonly config: BlockConfig;

  constructor(filename: string, tokens: readonly Token[], host: Host, config: BlockConfig) {
    super(filename, tokens);
    this.host = host;
    this.config = config;
  }

  /** Puts a handler into the chain; the list of directives gives its place. */
  addHandler(name: string, middleware: Middleware): void {
    this.config.handlers.push({ name, middleware });
  }

  /** The zones given as arguments, or the block's when there are none. */
  zonesFrom(args: readonly string[]): string[] {
    if (args.length === 0) return [...this.config.zones];
    return args.flatMap((arg) => {
      const zones = normalizeZone(arg);
      if (zones === undefined) throw this.err(`unable to normalize '${arg}'`);
      return zones;
    });
  }

  /** Fails when there are arguments left on the line. */
  noMoreArgs(): void {
    if (this.nextArg()) throw this.argErr();
  }

  /** For directives that stand once in a block: moves to the directive, fails at a second one. */
  once(read: () => void): void {
    let seen = 0;
    while (this.next()) {
      if (seen++ > 0) throw new Error('this plugin can only be used once per Server Block');
      read();
    }
  }

  log(plugin: string, level: 'INFO' | 'WARNING' | 'ERROR', message: string): void {
    this.host.log(`[${level}] plugin/${plugin}: ${message}`);
  }
}

/** Runs a plugin's setup; errors come out as `plugin/NAME: ...`, a CorefileError with its place kept. */
export function setupPlugin(plugin: Plugin, c: Controller): void {
  try {
    plugin.setup(c);
  } catch (cause) {
    const message = `plugin/${plugin.name}: ${cause instanceof Error ? cause.message : String(cause)}`;
    if (cause instanceof CorefileError) throw new CorefileError(message, cause.file, cause.line, cause.column);
    throw new CorefileError(message, c.file(), c.line(), 0);
  }
}

/** A Go duration such as `5s`, `1m30s` or `500ms`, in microseconds; undefined when it is none. */
export function parseDuration(text: string): number | undefined {
  if (text === '0') return 0;
  const units: Record<string, number> = { ns: 1e-3, us: 1, µs: 1, μs: 1, ms: 1e3, s: 1e6, m: 60e6, h: 3600e6 };
  const match = /^([+-]?)((?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+$/.exec(text);
  if (match === null) return undefined;
  let total = 0;
  for (const [, number, unit] of text.matchAll(/(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g))
    total += Number(number) * units[unit!]!;
  return match[1] === '-' ? -total : total;
}

/** A duration in microseconds as Go prints it: `5s`, `1m30s`, `500ms`. */
export function durationText(us: number): string {
  if (us === 0) return '0s';
  if (us < 1e3) return `${us}µs`;
  if (us < 1e6) return `${us / 1e3}ms`;
  const seconds = (us % 60e6) / 1e6;
  const minutes = Math.floor(us / 60e6) % 60;
  const hours = Math.floor(us / 3600e6);
  if (hours > 0) return `${hours}h${minutes}m${seconds}s`;
  return minutes > 0 ? `${minutes}m${seconds}s` : `${seconds}s`;
}

/** As Go's strconv.Atoi; undefined when it is no integer. */
export function parseInteger(text: string): number | undefined {
  return /^[+-]?\d{1,15}$/.test(text) ? Number(text) : undefined;
}
