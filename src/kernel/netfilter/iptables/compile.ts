// From a table's chains to the program that runs. One Int32Array, STRIDE words a rule; a chain's rules stand one after the other,
// ended by a rule that returns (or, in a built-in chain, applies the policy), as ipt_entry blobs do. What a packet is compared
// with first stands in the words; extension matches are closures made here, reached only when the words have matched.

import type { Rng } from '../../../lib/rng.ts';
import type { Skb } from '../../../tcpip-ts/skb.ts';
import { netmask } from '../../../tcpip-ts/wire/address.ts';
import { get16, word } from '../../../tcpip-ts/wire/bytes.ts';
import { IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP } from '../../../tcpip-ts/wire/ipv4.ts';
import type { Fib } from '../../ip/fib.ts';
import { NetlinkError } from '../../netlink.ts';
import type { Conntrack } from '../conntrack/conntrack.ts';
import { IP_CT_UNTRACKED, IPS_DST_NAT, IPS_SRC_NAT } from '../conntrack/ctinfo.ts';
import type { HookNumber } from '../hooks.ts';
import type { IpSets, NamedSet } from '../ipset/ipset.ts';
import type { RecentList, RecentLists } from './recent.ts';
import type { Chain, CtState, Match, Rule, TableName, Target } from './rule.ts';

export const STRIDE = 16;
export const SADDR = 0;
export const SMASK = 1;
export const DADDR = 2;
export const DMASK = 3;
/** 0: any. */
export const PROTO = 4;
export const FLAGS = 5;
/** Index into Program.interfaces + 1, 0: any. */
export const IIF = 6;
export const OIF = 7;
/** first << 16 | last; -1 << 16 … the flag says whether there is one. */
export const SPORTS = 8;
export const DPORTS = 9;
/** Extension matches [from, to). */
export const MATCH_FROM = 10;
export const MATCH_TO = 11;
export const TARGET = 12;
export const ARG = 13;
export const ARG2 = 14;

export const F_INVERT_SADDR = 1;
export const F_INVERT_DADDR = 2;
export const F_INVERT_PROTO = 4;
export const F_INVERT_IIF = 8;
export const F_INVERT_OIF = 16;
export const F_SPORTS = 32;
export const F_DPORTS = 64;
export const F_INVERT_SPORTS = 128;
export const F_INVERT_DPORTS = 256;
/** Any of the four port flags. */
export const F_PORTS = 480;
/** The rule looks at addresses, protocol, ports or interfaces: set when it is compiled. */
export const F_HEADER = 512;

export const T_CONTINUE = 0;
export const T_ACCEPT = 1;
export const T_DROP = 2;
export const T_RETURN = 3;
/** ARG: first rule of the chain. */
export const T_JUMP = 4;
export const T_GOTO = 5;
/** ARG: 0 port unreachable, 1 reset. */
export const T_REJECT = 6;
/** ARG value, ARG2 mask. */
export const T_MARK = 7;
/** ARG: random-fully. */
export const T_MASQUERADE = 8;
/** ARG address, ARG2 port. */
export const T_DNAT = 9;

type MatchFn = (skb: Skb) => boolean;

/** An interface name in a rule, perhaps with a `+` at its end. */
interface InterfaceMatch {
  readonly name: string;
  readonly isPrefix: boolean;
}

export interface Program {
  readonly words: Int32Array;
  readonly matches: readonly MatchFn[];
  readonly interfaces: readonly InterfaceMatch[];
  /** First rule of the built-in chain of each hook, -1 without one. */
  readonly entries: readonly number[];
  /** First rule of each chain. */
  readonly starts: ReadonlyMap<string, number>;
  /** Sets that rules look at, with repetitions. */
  readonly sets: readonly NamedSet[];
  /** Names of the lists of `recent`. */
  readonly recent: ReadonlySet<string>;
}

export interface CompileEnv {
  readonly fib: Fib;
  readonly sets: IpSets;
  readonly recent: RecentLists;
  readonly rng: Rng;
  readonly conntrack: Pick<Conntrack, 'status'>;
  /** The kernel's. */
  readonly time: { readonly nowUs: number };
}

/** Built-in chains of each table, in hook order. */
export const BUILTIN: Readonly<Record<TableName, readonly (readonly [string, HookNumber])[]>> = {
  raw: [
    ['PREROUTING', 0],
    ['OUTPUT', 3],
  ],
  mangle: [
    ['PREROUTING', 0],
    ['INPUT', 1],
    ['FORWARD', 2],
    ['OUTPUT', 3],
    ['POSTROUTING', 4],
  ],
  nat: [
    ['PREROUTING', 0],
    ['INPUT', 1],
    ['OUTPUT', 3],
    ['POSTROUTING', 4],
  ],
  filter: [
    ['INPUT', 1],
    ['FORWARD', 2],
    ['OUTPUT', 3],
  ],
};

/** Throws NetlinkError: unknown chain or set, a loop, a target that does not belong into the table. O(rules). */
export function compile(table: TableName, chains: readonly Chain[], env: CompileEnv): Program {
  const starts = new Map<string, number>();
  let total = 0;
  for (const chain of chains) {
    starts.set(chain.name, total);
    total += chain.rules.length + 1;
  }
  checkLoops(chains);
  const words = new Int32Array(total * STRIDE);
  const build = new Builder(table, words, starts, env);
  let at = 0;
  for (const chain of chains) {
    for (const rule of chain.rules) build.rule(at++, chain.name, rule);
    words[at++ * STRIDE + TARGET] =
      chain.policy === undefined ? T_RETURN : chain.policy === 'ACCEPT' ? T_ACCEPT : T_DROP;
  }
  const entries = [-1, -1, -1, -1, -1];
  for (const [name, hook] of BUILTIN[table]) entries[hook] = starts.get(name) ?? -1;
  return {
    words,
    matches: build.matches,
    interfaces: build.interfaces,
    entries,
    starts,
    sets: build.sets,
    recent: build.recent,
  };
}

class Builder {
  readonly matches: MatchFn[] = [];
  readonly interfaces: InterfaceMatch[] = [];
  readonly sets: NamedSet[] = [];
  readonly recent = new Set<string>();
  readonly #table: TableName;
  readonly #words: Int32Array;
  readonly #starts: ReadonlyMap<string, number>;
  readonly #env: CompileEnv;

  constructor(table: TableName, words: Int32Array, starts: ReadonlyMap<string, number>, env: CompileEnv) {
    this.#table = table;
    this.#words = words;
    this.#starts = starts;
    this.#env = env;
  }

  rule(at: number, chain: string, rule: Rule): void {
    const o = at * STRIDE;
    this.#words[o + MATCH_FROM] = this.matches.length;
    for (const match of rule.matches) this.#match(o, chain, match);
    const w = this.#words;
    if ((w[o + SMASK]! | w[o + DMASK]! | w[o + PROTO]! | w[o + IIF]! | w[o + OIF]! | w[o + FLAGS]!) !== 0)
      w[o + FLAGS]! |= F_HEADER;
    this.#words[o + MATCH_TO] = this.matches.length;
    if (rule.target) this.#target(o, chain, rule.target);
  }

  #match(o: number, chain: string, match: Match): void {
    const w = this.#words;
    switch (match.kind) {
      case 'source':
        w[o + SADDR] = match.addr & netmask(match.prefixLen);
        w[o + SMASK] = netmask(match.prefixLen);
        if (match.invert) w[o + FLAGS]! |= F_INVERT_SADDR;
        break;
      case 'destination':
        w[o + DADDR] = match.addr & netmask(match.prefixLen);
        w[o + DMASK] = netmask(match.prefixLen);
        if (match.invert) w[o + FLAGS]! |= F_INVERT_DADDR;
        break;
      case 'protocol':
        w[o + PROTO] = match.proto;
        if (match.invert) w[o + FLAGS]! |= F_INVERT_PROTO;
        break;
      case 'sport':
        w[o + SPORTS] = (match.first << 16) | match.last;
        w[o + FLAGS]! |= F_SPORTS | (match.invert ? F_INVERT_SPORTS : 0);
        break;
      case 'dport':
        w[o + DPORTS] = (match.first << 16) | match.last;
        w[o + FLAGS]! |= F_DPORTS | (match.invert ? F_INVERT_DPORTS : 0);
        break;
      case 'in-interface':
        w[o + IIF] = this.#interface(match.name);
        if (match.invert) w[o + FLAGS]! |= F_INVERT_IIF;
        break;
      case 'out-interface':
        w[o + OIF] = this.#interface(match.name);
        if (match.invert) w[o + FLAGS]! |= F_INVERT_OIF;
        break;
      case 'addrtype':
        this.matches.push(addrtypeMatch(this.#env.fib, match.side === 'src' ? 12 : 16, match.invert ?? false));
        break;
      case 'set':
        this.matches.push(this.#setMatch(chain, match));
        break;
      case 'mark':
        this.matches.push(markMatch(match.value, match.mask, match.invert ?? false));
        break;
      case 'ctstate':
        this.matches.push(ctstateMatch(this.#env.conntrack.status, match.states, match.invert ?? false));
        break;
      case 'statistic':
        this.matches.push(statisticMatch(this.#env.rng, match.probability));
        break;
      case 'recent': {
        this.recent.add(match.name);
        const list = this.#env.recent.get(match.name);
        const { time } = this.#env;
        this.matches.push(match.op === 'set' ? recentSet(list, time) : recentCheck(list, time, match.seconds));
        break;
      }
      case 'transport':
      case 'comment':
        break;
    }
  }

  #target(o: number, chain: string, target: Target): void {
    const w = this.#words;
    switch (target.kind) {
      case 'ACCEPT':
        w[o + TARGET] = T_ACCEPT;
        break;
      case 'DROP':
        w[o + TARGET] = T_DROP;
        break;
      case 'RETURN':
        w[o + TARGET] = T_RETURN;
        break;
      case 'jump':
      case 'goto': {
        const start = this.#starts.get(target.chain);
        if (start === undefined)
          throw new NetlinkError(
            'ENOENT',
            `iptables-restore: ${this.#table} ${chain}: chain ${target.chain} does not exist`,
          );
        w[o + TARGET] = target.kind === 'jump' ? T_JUMP : T_GOTO;
        w[o + ARG] = start;
        break;
      }
      case 'REJECT':
        this.#only('filter', chain, target.kind);
        w[o + TARGET] = T_REJECT;
        w[o + ARG] = target.rejectWith === 'tcp-reset' ? 1 : 0;
        break;
      case 'MARK':
        w[o + TARGET] = T_MARK;
        w[o + ARG] = target.value;
        w[o + ARG2] = target.mask;
        break;
      case 'MASQUERADE':
        this.#only('nat', chain, target.kind);
        w[o + TARGET] = T_MASQUERADE;
        w[o + ARG] = target.randomFully ? 1 : 0;
        break;
      case 'DNAT':
        this.#only('nat', chain, target.kind);
        w[o + TARGET] = T_DNAT;
        w[o + ARG] = target.addr;
        w[o + ARG2] = target.port;
        break;
    }
  }

  #only(table: TableName, chain: string, target: string): void {
    if (this.#table === table) return;
    throw new NetlinkError(
      'EINVAL',
      `iptables-restore: ${this.#table} ${chain}: ${target} is only valid in the ${table} table`,
    );
  }

  #interface(name: string): number {
    const isPrefix = name.endsWith('+');
    this.interfaces.push({ name: isPrefix ? name.slice(0, -1) : name, isPrefix });
    return this.interfaces.length;
  }

  #setMatch(chain: string, match: Extract<Match, { kind: 'set' }>): MatchFn {
    const named = this.#env.sets.get(match.name);
    if (match.dims.length > named.set.dimensions) {
      throw new NetlinkError(
        'EINVAL',
        `iptables-restore: ${this.#table} ${chain}: set ${match.name} has ${named.set.dimensions} dimensions`,
      );
    }
    this.sets.push(named);
    const [first = 'dst', second = 'dst', third = 'dst'] = match.dims;
    return setMatch(named, first, second, third, match.invert ?? false);
  }
}

function addrtypeMatch(fib: Fib, at: number, invert: boolean): MatchFn {
  return (skb) => fib.isLocal(word(skb.bytes, skb.nh + at)) !== invert;
}

function markMatch(value: number, mask: number, invert: boolean): MatchFn {
  const wanted = value | 0;
  return (skb) => ((skb.mark & mask) === wanted) !== invert;
}

const CT_BITS: Readonly<Record<CtState, number>> = {
  ESTABLISHED: 1,
  RELATED: 2,
  NEW: 4,
  INVALID: 8,
  UNTRACKED: 16,
  SNAT: 32,
  DNAT: 64,
};

function ctstateMatch(status: Uint32Array, states: readonly CtState[], invert: boolean): MatchFn {
  let bits = 0;
  for (const state of states) bits |= CT_BITS[state];
  return (skb) => {
    const { ct, ctinfo } = skb;
    // IP_CT_* modulo 3 is ESTABLISHED, RELATED, NEW, whatever the direction. SNAT and DNAT are of a new connection too.
    let bit = ctinfo === IP_CT_UNTRACKED ? CT_BITS.UNTRACKED : CT_BITS.INVALID;
    if (ct !== 0) {
      bit = 1 << (ctinfo % 3);
      if ((status[ct]! & IPS_SRC_NAT) !== 0) bit |= CT_BITS.SNAT;
      if ((status[ct]! & IPS_DST_NAT) !== 0) bit |= CT_BITS.DNAT;
    }
    return ((bits & bit) !== 0) !== invert;
  };
}

/** xt_statistic keeps a probability as 31 bits; so does the text that iptables-save prints. */
export function statisticThreshold(probability: number): number {
  return Math.round(probability * 0x80000000);
}

function statisticMatch(rng: Rng, probability: number): MatchFn {
  const threshold = statisticThreshold(probability);
  return () => (rng.u32() & 0x7fffffff) < threshold;
}

function recentSet(list: RecentList, time: { readonly nowUs: number }): MatchFn {
  return (skb) => {
    list.set(word(skb.bytes, skb.nh + 12), time.nowUs);
    return true;
  };
}

function recentCheck(list: RecentList, time: { readonly nowUs: number }, seconds: number): MatchFn {
  return (skb) => list.checkAndReap(word(skb.bytes, skb.nh + 12), seconds, time.nowUs);
}

/** A set whose first dimension is a port (bitmap:port) reads the port by the first direction. */
function setMatch(
  named: NamedSet,
  first: 'src' | 'dst',
  second: 'src' | 'dst',
  third: 'src' | 'dst',
  invert: boolean,
): MatchFn {
  const isBitmap = named.set.type === 'bitmap:port';
  const ipAt = first === 'src' ? 12 : 16;
  const portAt = (isBitmap ? first : second) === 'src' ? 0 : 2;
  const ip2At = third === 'src' ? 12 : 16;
  const needsPort = named.set.dimensions > 1 || isBitmap;
  return (skb) => {
    if (named.set.size === 0) return invert; // most of kube-proxy's sets, most of the time
    const b = skb.bytes;
    const proto = b[skb.nh + 9]!;
    let port = 0;
    if (proto === IPPROTO_TCP || proto === IPPROTO_UDP || proto === IPPROTO_SCTP) {
      if (skb.th + 4 > skb.tail) return invert;
      port = get16(b, skb.th + portAt);
    } else if (proto === 1) port = get16(b, skb.th);
    else if (needsPort) return invert;
    return named.set.test(word(b, skb.nh + ipAt), proto, port, word(b, skb.nh + ip2At)) !== invert;
  };
}

function checkLoops(chains: readonly Chain[]): void {
  const byName = new Map(chains.map((c) => [c.name, c]));
  const done = new Set<string>();
  const path = new Set<string>();
  const visit = (name: string): void => {
    if (done.has(name)) return;
    if (path.has(name)) throw new NetlinkError('ELOOP', `iptables-restore: chain ${name} jumps to itself`);
    path.add(name);
    for (const rule of byName.get(name)?.rules ?? []) {
      if (rule.target?.kind === 'jump' || rule.target?.kind === 'goto') visit(rule.target.chain);
    }
    path.delete(name);
    done.add(name);
  };
  for (const chain of chains) visit(chain.name);
}
