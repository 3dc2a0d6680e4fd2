// Transactions of nft in one line each, and what the kernel's rules decide of a packet that goes nowhere.
import { TraceRecorder, textOf } from '../../src/kernel/core/trace.ts';
import { NF_INET_FORWARD, type Verdict } from '../../src/kernel/netfilter/hooks.ts';
import type { Expression, NftCommand, NftVerdict } from '../../src/kernel/netfilter/nftables/ruleset.ts';
import { ipv4 } from '../../src/tcpip-ts/wire/address.ts';
import { type Lab, POD_A, POD_B } from './kernel.ts';
import { ip, udp } from './packet.ts';

/** One transaction on table `t`. */
export function commit(lab: Lab, ...commands: NftCommand[]): void {
  lab.netlink.commit([{ op: 'nft', table: 't', commands: [{ command: 'add-table' }, ...commands] }]);
}

export function chain(name: string): NftCommand {
  return { command: 'add-chain', chain: { name } };
}

export function base(
  name: string,
  type: 'filter' | 'nat',
  hook: 'prerouting' | 'forward',
  priority: number,
): NftCommand {
  return { command: 'add-chain', chain: { name, base: { type, hook, priority } } };
}

export function rule(name: string, ...expressions: Expression[]): NftCommand {
  return { command: 'add-rule', chain: name, rule: { expressions } };
}

export function verdict(kind: NftVerdict['kind'], to = ''): Expression {
  const v = kind === 'jump' || kind === 'goto' ? { kind, chain: to } : { kind };
  return { kind: 'verdict', verdict: v as NftVerdict };
}

export function element(map: string, addr: string, port: number, v: NftVerdict): NftCommand {
  return { command: 'add-map-element', map, element: { addr: ipv4(addr), proto: 17, port, verdict: v } };
}

/** A UDP packet that is forwarded. */
export interface Forwarded {
  readonly saddr?: string;
  readonly dport?: number;
}

export function decide(
  lab: Lab,
  { saddr = POD_A, dport = 53 }: Forwarded,
): { readonly verdict: Verdict; readonly mark: number } {
  const skb = lab.pool.alloc()!;
  const packet = ip({ saddr, daddr: POD_B }, udp({ sport: 1000, dport }, 'x'));
  skb.bytes.set(packet, skb.nh);
  skb.th = skb.nh + 20;
  skb.tail = skb.nh + packet.length;
  const verdict = lab.kernel.hooks.run(NF_INET_FORWARD, skb);
  const { mark } = skb;
  skb.free();
  return { verdict, mark };
}

/** The rules that match and do something, in order. */
export function rulesMet(lab: Lab, packet: Forwarded): string[] {
  const recorder = new TraceRecorder();
  lab.kernel.trace.sink = recorder;
  decide(lab, packet);
  lab.kernel.trace.sink = null;
  return recorder.records.flatMap(({ rule }) => (rule ? [textOf(rule)] : []));
}
