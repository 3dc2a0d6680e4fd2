// A Pod's resolver, after glibc's getaddrinfo and getnameinfo with `hosts: files dns` (resolv/res_query.c, res_send.c): /etc/hosts,
// then the nameservers of /etc/resolv.conf, names tried along the search list as ndots says, A and AAAA side by side.
// Left out: IPv6 servers and answers, the options rotate, single-request, use-vc, and the gai.conf sorting of addresses.
import { formatIPv4, parseIPv4 } from '../../../tcpip-ts/wire/address.ts';
import { parseResolvConf } from '../../kubelet/resolv-conf.ts';
import type { ProcessContext } from '../../workloads/program.ts';
import { askAll, DnsFailure, type DnsReply, type DnsTransport, isDomainName, rcodeOf } from './client.ts';

const MESSAGES = {
  EAI_NONAME: 'Name or service not known',
  EAI_NODATA: 'No address associated with hostname',
  EAI_AGAIN: 'Temporary failure in name resolution',
} as const;

/** What getaddrinfo tells: no such name, a name without address, or nobody could say. */
export class ResolveError extends Error {
  readonly code: keyof typeof MESSAGES;

  constructor(code: keyof typeof MESSAGES) {
    super(MESSAGES[code]);
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

export interface HostAddresses {
  /** Host order, at least one. */
  readonly addresses: readonly number[];
  /** The name that the addresses stand under, behind search list and aliases. */
  readonly canonicalName: string;
}

// RES_MAXNDOTS, RES_MAXRETRANS, RES_MAXRETRY
const LIMITS = { ndots: 15, timeout: 30, attempts: 5 } as const;

export function resolverSettings({ files }: Pick<ProcessContext, 'files'>): ResolverSettings {
  const conf = parseResolvConf(files.read('/etc/resolv.conf') ?? '');
  const option = (name: keyof typeof LIMITS, otherwise: number): number => {
    const value = Number(conf.options.find((o) => o.startsWith(`${name}:`))?.slice(name.length + 1) ?? otherwise);
    return Number.isInteger(value) ? Math.min(value, LIMITS[name]) : otherwise;
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
  if (name.endsWith('.')) return [name === '.' ? name : name.slice(0, -1)];
  const listed = searches.map((domain) => `${name}.${domain}`);
  return name.split('.').length - 1 >= ndots ? [name, ...listed] : [...listed, name];
}

/** `5.0.244.10.in-addr.arpa` of 10.244.0.5. */
export function reverseName(addr: number): string {
  return `${formatIPv4(addr).split('.').reverse().join('.')}.in-addr.arpa`;
}

/** The IPv4 addresses (host order) of a name or of a dotted address. Rejects with ResolveError, or Interrupted. */
export async function resolve(ctx: ProcessContext, name: string): Promise<readonly number[]> {
  return (await lookup(ctx, name)).addresses;
}

/** As `resolve`, with the canonical name. */
export async function lookup(ctx: ProcessContext, name: string): Promise<HostAddresses> {
  const literal = parseIPv4(name);
  if (literal !== undefined) return { addresses: [literal], canonicalName: name };
  if (!isDomainName(name.replace(/(.)\.$/, '$1'))) throw new ResolveError('EAI_NONAME');
  const listed = hostsLines(ctx).filter(({ names }) => names.includes(name.toLowerCase()));
  if (listed.length > 0) return { addresses: listed.map((l) => l.addr), canonicalName: listed[0]!.names[0]! };
  const settings = resolverSettings(ctx);
  let verdict: ResolveError['code'] = 'EAI_NONAME';
  let sawNoData = false;
  let sawServerFailure = false;
  for (const candidate of candidates(name, settings)) {
    if (!isDomainName(candidate)) continue;
    const replies = await askServers(ctx, settings, candidate, ['A', 'AAAA']);
    if (!replies) throw new ResolveError('EAI_AGAIN'); // nobody answers: glibc does not walk on
    const found = addressesOf(candidate, replies);
    if (found) return found;
    const rcode = rcodeOf(replies[0]!.packet);
    verdict = rcode === 'NOERROR' ? 'EAI_NODATA' : rcode === 'NXDOMAIN' ? 'EAI_NONAME' : 'EAI_AGAIN';
    sawNoData ||= verdict === 'EAI_NODATA';
    sawServerFailure ||= verdict === 'EAI_AGAIN';
  }
  if (sawNoData) verdict = 'EAI_NODATA';
  else if (sawServerFailure) verdict = 'EAI_AGAIN';
  throw new ResolveError(verdict);
}

/** The name of an address, as getnameinfo finds it; undefined when there is none or nobody could say. */
export async function reverseLookup(ctx: ProcessContext, addr: number): Promise<string | undefined> {
  const listed = hostsLines(ctx).find((line) => line.addr === addr);
  if (listed) return listed.names[0];
  const replies = await askServers(ctx, resolverSettings(ctx), reverseName(addr), ['PTR']);
  const pointer = replies?.[0]?.packet.answers?.find((a) => a.type === 'PTR');
  return pointer?.type === 'PTR' ? pointer.data : undefined;
}

function addressesOf(name: string, replies: readonly DnsReply[]): HostAddresses | undefined {
  const records = replies.flatMap(({ packet }) => packet.answers ?? []);
  const addresses = records.flatMap((a) => (a.type === 'A' ? [parseIPv4(a.data)!] : []));
  const canonicalName = records.find((a) => a.type === 'A')?.name ?? name;
  return addresses.length > 0 ? { addresses, canonicalName } : undefined;
}

/** Answers of the first server that knows; of the last that answered when none does; undefined when none answers. */
async function askServers(
  { stack, clock, rng, signal }: ProcessContext,
  settings: ResolverSettings,
  name: string,
  types: readonly string[],
): Promise<DnsReply[] | undefined> {
  const queries = types.map((type) => ({ name, type }));
  let unhelpful: DnsReply[] | undefined;
  for (let attempt = 0; attempt < settings.attempts; attempt++) {
    for (const [i, server] of settings.nameservers.entries()) {
      // res_send.c: later servers get longer, shared among them all.
      const timeoutMs = i === 0 ? settings.timeoutMs : (settings.timeoutMs << i) / settings.nameservers.length;
      const transport: DnsTransport = { stack, clock, rng, signal, server, port: 53, timeoutMs };
      try {
        const replies = await askAll(transport, queries);
        if (['NOERROR', 'NXDOMAIN'].includes(rcodeOf(replies[0]!.packet))) return replies;
        unhelpful = replies;
      } catch (error) {
        if (!(error instanceof DnsFailure)) throw error;
      }
    }
    if (unhelpful) return unhelpful;
  }
  return undefined;
}

function hostsLines({ files }: ProcessContext): { addr: number; names: string[] }[] {
  return (files.read('/etc/hosts') ?? '').split('\n').flatMap((line) => {
    const [address = '', ...names] = line.replace(/#.*$/, '').trim().split(/\s+/);
    const addr = parseIPv4(address);
    return addr !== undefined && names.length > 0 ? [{ addr, names: names.map((n) => n.toLowerCase()) }] : [];
  });
}
