// Reads `forward FROM TO... { ... }` (CoreDNS plugin/forward/setup.go). TO is an address, `dns://ADDRESS`, ADDRESS:PORT, or
// /etc/resolv.conf, which stands for the name servers in the file the server was given.
// Deviation: a resolv.conf without a name server is no error; questions then fail at once. Leaves out TLS and DoH upstreams,
// max_connect_attempts, failover, next, failfast_all_unhealthy_upstreams, as errors that say so.
import { nameserversOf } from '../../resolv-conf.ts';
import { addressBytes, normalizeZone } from '../../reverse.ts';
import type { Address } from '../../sockets.ts';
import { type Controller, type Plugin, parseDuration, parseInteger } from '../plugin.ts';
import { Forward, type ForwardOptions } from './handler.ts';
import { Upstream } from './upstream.ts';

const MAX_UPSTREAMS = 15;
const DNS_PORT = 53;

export const forwardPlugin: Plugin = {
  name: 'forward',
  setup(c) {
    const { host, config } = c;
    while (c.next()) {
      const { options, to, healthIntervalUs } = parse(c);
      if (to.length > MAX_UPSTREAMS) throw new Error(`more than ${MAX_UPSTREAMS} TOs configured: ${to.length}`);
      const local = host.localAddresses[0] ?? '';
      const failures = host.metrics.counter(
        'coredns_proxy_healthcheck_failures_total',
        'Counter of the number of failed healthchecks.',
        ['proxy_name', 'to'],
      );
      const failed = (to: string): void => void failures.with('forward', to).value++;
      const upstreams = to.map(
        (address) => new Upstream(address, host.sockets, host.clock, host.rng, local, healthIntervalUs, failed),
      );
      config.hasUpstream ||= upstreams.length > 0;
      c.addHandler('forward', (next) => {
        const forward = new Forward(options, upstreams, host.clock, host.rng, host.metrics, next);
        return (request, writer) => forward.serve(request, writer);
      });
      config.shutdowns.push(() => {
        for (const upstream of upstreams) upstream.close();
      });
    }
  },
};

interface Parsed {
  readonly options: ForwardOptions;
  readonly to: readonly Address[];
  readonly healthIntervalUs: number;
}

function parse(c: Controller): Parsed {
  if (!c.nextArg()) throw c.argErr();
  const from = normalizeZone(c.val())?.[0];
  if (from === undefined) throw new Error(`unable to normalize '${c.val()}'`);
  const targets = c.remainingArgs();
  if (targets.length === 0) throw c.argErr();
  const to = targets.flatMap((target) => addressesOf(c, target));
  const options = {
    from,
    except: [] as string[],
    policy: 'random',
    maxFails: 2,
    maxConcurrent: 0,
    transport: 'as client',
  };
  let healthIntervalUs = 500_000;
  while (c.nextBlock()) {
    const property = c.val();
    const args = c.remainingArgs();
    switch (property) {
      case 'except':
        if (args.length === 0) throw c.argErr();
        options.except.push(...c.zonesFrom(args));
        break;
      case 'max_fails':
        options.maxFails = natural(c, property, args);
        break;
      case 'max_concurrent':
        options.maxConcurrent = natural(c, property, args);
        break;
      case 'health_check':
        healthIntervalUs = duration(c, property, args);
        break;
      case 'expire':
      case 'max_age':
        // How long idle connections are kept: ours close after each question.
        duration(c, property, args);
        break;
      case 'force_tcp':
        if (args.length > 0) throw c.argErr();
        options.transport = 'tcp';
        break;
      case 'prefer_udp':
        if (args.length > 0) throw c.argErr();
        if (options.transport !== 'tcp') options.transport = 'udp';
        break;
      case 'policy':
        if (args.length !== 1) throw c.argErr();
        if (args[0] !== 'random' && args[0] !== 'round_robin' && args[0] !== 'sequential')
          throw c.err(`unknown policy '${args[0]}'`);
        options.policy = args[0];
        break;
      case 'tls':
      case 'tls_servername':
      case 'next':
      case 'failover':
      case 'failfast_all_unhealthy_upstreams':
      case 'max_connect_attempts':
      case 'max_idle_conns':
        throw c.err(`property '${property}' is not supported by this server yet`);
      default:
        throw c.err(`unknown property '${property}'`);
    }
  }
  return { options: options as ForwardOptions, to, healthIntervalUs };
}

function addressesOf(c: Controller, target: string): Address[] {
  if (target === '/etc/resolv.conf')
    return nameserversOf(c.host.resolvConf).map((address) => ({ address, port: DNS_PORT }));
  const scheme = /^([a-z]+):\/\//.exec(target)?.[1];
  if (scheme !== undefined && scheme !== 'dns') {
    throw new Error(`'${scheme}' is not supported as a destination protocol in forward: ${target}`);
  }
  const text = target.replace(/^dns:\/\//, '');
  const match = /^(?:\[([^\]]+)\]|([^:]+)|(.*:.*:.*?))(?::(\d{1,5}))?$/.exec(text);
  const address = match?.[1] ?? match?.[2] ?? match?.[3] ?? '';
  const port = Number(match?.[4] ?? DNS_PORT);
  if (addressBytes(address) === undefined || port < 1 || port > 65535)
    throw new Error(`not an IP address or file: "${target}"`);
  return [{ address, port }];
}

function natural(c: Controller, property: string, args: readonly string[]): number {
  if (args.length !== 1) throw c.argErr();
  const value = parseInteger(args[0]!);
  if (value === undefined) throw new Error(`strconv.Atoi: parsing "${args[0]}": invalid syntax`);
  if (value < 0) throw new Error(`${property} can't be negative: ${value}`);
  return value;
}

function duration(c: Controller, property: string, args: readonly string[]): number {
  if (args.length === 0) throw c.argErr();
  const us = parseDuration(args[0]!);
  if (us === undefined) throw new Error(`time: invalid duration "${args[0]}"`);
  if (us < 0) throw new Error(`${property} can't be negative: ${args[0]}`);
  return us;
}
