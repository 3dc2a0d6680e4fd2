// A Pod's resolver, after glibc's: /etc/hosts, then the nameservers of /etc/resolv.conf, names tried along the search list as ndots
// says, A and AAAA side by side.
import { parseIPv4 } from '../../tcpip-ts/wire/address.ts';
import { parseResolvConf } from '../kubelet/resolv-conf.ts';
import type { ProcessContext } from '../workloads/program.ts';
import { askUdp, type DnsReply, type DnsTransport } from './dns-client.ts';

/** What getaddrinfo tells: EAI_NONAME (no such name) or EAI_AGAIN (no server answered). */
export class ResolveError extends Error {
  readonly code: 'EAI_NONAME' | 'EAI_AGAIN';

  constructor(code: 'EAI_NONAME' | 'EAI_AGAIN') {
    super(code === 'EAI_NONAME' ? 'Name or service not known' : 'Temporary failure in name resolution');
    this.code = code;
  }
}

export interface ResolverSettings {
  /** Host order. */
  readonly nameservers: readonly number[];
  readonly searches: readonly string[];
  readonly ndots: number;
  readonly timeoutMs: number;
  readonly attempts: number;
}

export function resolverSettings(ctx: Pick<ProcessContext, 'files'>): ResolverSettings {
  const conf = parseResolvConf(ctx.files.read('/etc/resolv.conf') ?? '');
  const option = (name: string, otherwise: number): number => {
    const found = conf.options.find((o) => o.startsWith(`${name}:`));
    return found ? Number(found.slice(name.length + 1)) : otherwise;
  };
  return {
    nameservers: conf.nameservers.flatMap((text) => parseIPv4(text) ?? []),
    searches: conf.searches,
    ndots: option('ndots', 1),
    timeoutMs: option('timeout', 5) * 1000,
    attempts: option('attempts', 2),
  };
}

/** The full names to try, in order, without a trailing dot. */
export function candidates(name: string, { searches, ndots }: Pick<ResolverSettings, 'searches' | 'ndots'>): string[] {
  if (name.endsWith('.')) return [name.slice(0, -1)];
  const listed = searches.map((domain) => `${name}.${domain}`);
  return name.split('.').length - 1 >= ndots ? [name, ...listed] : [...listed, name];
}

export function transport(ctx: ProcessContext, server: number, settings: ResolverSettings): DnsTransport {
  const { stack, clock, rng } = ctx;
  return { stack, clock, rng, server, port: 53, timeoutMs: settings.timeoutMs, edns: false };
}

/** The IPv4 addresses (host order) of a name or of a dotted address. Rejects with ResolveError. */
export async function resolve(ctx: ProcessContext, name: string): Promise<number[]> {
  const literal = parseIPv4(name);
  if (literal !== undefined) return [literal];
  const listed = fromHosts(ctx.files.read('/etc/hosts') ?? '', name);
  if (listed.length > 0) return listed;
  const settings = resolverSettings(ctx);
  let unanswered = settings.nameservers.length === 0;
  for (const candidate of candidates(name, settings)) {
    const replies = await askServers(ctx, settings, candidate);
    if (!replies) {
      unanswered = true;
      break; // glibc does not walk on when nobody answers
    }
    const addresses = replies.flatMap(({ packet }) =>
      (packet.answers ?? []).flatMap((a) => (a.type === 'A' ? [parseIPv4(a.data)!] : [])),
    );
    if (addresses.length > 0) return addresses;
    if (replies.some(({ packet }) => rcodeOf(packet) === 'SERVFAIL')) unanswered = true;
  }
  throw new ResolveError(unanswered ? 'EAI_AGAIN' : 'EAI_NONAME');
}

/** `NOERROR`, `NXDOMAIN`, ... : dns-packet types it on decoded packets only. */
export function rcodeOf(packet: DnsReply['packet']): string {
  return (packet as unknown as { rcode: string }).rcode;
}

async function askServers(
  ctx: ProcessContext,
  settings: ResolverSettings,
  name: string,
): Promise<DnsReply[] | undefined> {
  for (let attempt = 0; attempt < settings.attempts; attempt++) {
    for (const server of settings.nameservers) {
      if (ctx.signal.aborted) return undefined;
      try {
        return await askUdp(transport(ctx, server, settings), [
          { name, type: 'A' },
          { name, type: 'AAAA' },
        ]);
      } catch {
        // the next server, or the next attempt
      }
    }
  }
  return undefined;
}

function fromHosts(text: string, name: string): number[] {
  return text.split('\n').flatMap((line) => {
    const [address = '', ...names] = line.replace(/#.*$/, '').trim().split(/\s+/);
    const parsed = parseIPv4(address);
    return parsed !== undefined && names.includes(name) ? [parsed] : [];
  });
}
