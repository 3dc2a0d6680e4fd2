// From a chain to the program that runs: one Int32Array, STRIDE words a rule, ended by a rule that returns (or, in a built-in
// chain, applies the policy), as ipt_entry blobs do. What a packet is compared with first stands in the words; extension matches
// are closures made here, reached only when the words have matched. Jumps lead to chains by number, so that a chain is compiled
// without a look at the others; and of a chain that was there before, only the rules that are new.

import type { Rng } from '../../../lib/rng.ts';
import type { Skb } from '../../../tcpip-ts/skb.ts';
import { netmask } from '../../../tcpip-ts/wire/address.ts';
import { get16, word } from '../../../tcpip-ts/wire/bytes.ts';
import { IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP } from '../../../tcpip-ts/wire/ipv4.ts';
import type { VirtualServers } from '../../core/context.ts';
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
/** Number that Resolver.interface() gave, 0: any. */
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
/** ARG: number of the chain. */
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

export interface Program {
  readonly words: Int32Array;
  readonly matches: readonly MatchFn[];
  /** Sets that rules look at, with repetitions. */
  readonly sets: readonly NamedSet[];
  /** Names of the lists of `recent`, with repetitions. */
  readonly recent: readonly string[];
}

/** Numbers for what rules name. */
export interface Resolver {
  /** Undefined for a chain that is not there. */
  chain(name: string): number | undefined;
  /** From 1 on. */
  interface(name: string): number;
}

/** A chain as it was, with its program. */
export interface Compiled {
  readonly chain: Chain;
  readonly program: Program;
}

export interface CompileEnv {
  readonly fib: Fib;
  readonly sets: IpSets;
  readonly recent: RecentLists;
  readonly rng: Rng;
  readonly conntrack: Pick<Conntrack, 'status'>;
  readonly virtualServers: VirtualServers;
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

/**
 * Throws NetlinkError: unknown chain or set, a target that does not belong into the table. Rules that stand in `before`, too, at its
 * start or end, are taken over: O(rules that are new), but for the copying of words.
 */
export function compile(
  table: TableName,
  chain: Chain,
  env: CompileEnv,
  resolve: Resolver,
  before?: Compiled,
): Program {
  const { name, rules, policy } = chain;
  if (before && before.program.words.length > 0 && isUnchanged(before.chain, chain)) return before.program;
  const words = new Int32Array((rules.length + 1) * STRIDE);
  const build = new Builder(table, words, env, resolve);
  // What refers to sets and lists is counted by the chain: such a chain is compiled whole.
  const isPlain = before && before.program.sets.length === 0 && before.program.recent.length === 0;
  const [head, tail] = isPlain ? sharedRules(before.chain.rules, rules) : [0, 0];
  if (isPlain) build.take(before.program, 0, 0, head);
  for (let at = head; at < rules.length - tail; at++) build.rule(at, name, rules[at]!);
  if (isPlain) build.take(before.program, before.chain.rules.length - tail, rules.length - tail, tail);
  words[rules.length * STRIDE + TARGET] = policy === undefined ? T_RETURN : policy === 'ACCEPT' ? T_ACCEPT : T_DROP;
  return { words, matches: build.matches, sets: build.sets, recent: build.recent };
}

/** The same rules, as objects: kube-proxy writes ten thousand of them at each sync, mostly for nothing. */
function isUnchanged(before: Chain, after: Chain): boolean {
  const { length } = before.rules;
  if (length !== after.rules.length || before.policy !== after.policy) return false;
  return before.rules === after.rules || sharedRules(before.rules, after.rules)[0] === length;
}

/** How many rules two lists share at their start and, of the rest, at their end; the same objects, not equal ones. */
export function sharedRules<R>(before: readonly R[], after: readonly R[]): readonly [head: number, tail: number] {
  const most = Math.min(before.length, after.length);
  let head = 0;
  while (head < most && before[head] === after[head]) head++;
  let tail = 0;
  while (tail < most - head && before[before.length - 1 - tail] === after[after.length - 1 - tail]) tail++;
  return [head, tail];
}

class Builder {
  readonly matches: MatchFn[] = [];
  readonly sets: NamedSet[] = [];
  readonly recent: string[] = [];
  readonly #table: TableName;
  readonly #words: Int32Array;
  readonly #env: CompileEnv;
  readonly #resolve: Resolver;

  constructor(table: TableName, words: Int32Array, env: CompileEnv, resolve: Resolver) {
    this.#table = table;
    this.#words = words;
    this.#env = env;
    this.#resolve = resolve;
  }

  /** Rules of another program, `count` of them. */
  take({ words, matches }: Program, from: number, at: number, count: number): void {
    this.#words.set(words.subarray(from * STRIDE, (from + count) * STRIDE), at * STRIDE);
    for (let i = at; i < at + count; i++) {
      const o = i * STRIDE;
      const [first, last] = [this.#words[o + MATCH_FROM]!, this.#words[o + MATCH_TO]!];
      this.#words[o + MATCH_FROM] = this.matches.length;
      for (let m = first; m < last; m++) this.matches.push(matches[m]!);
      this.#words[o + MATCH_TO] = this.matches.length;
    }
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
        w[o + IIF] = this.#resolve.interface(match.name);
        if (match.invert) w[o + FLAGS]! |= F_INVERT_IIF;
        break;
      case 'out-interface':
        w[o + OIF] = this.#resolve.interface(match.name);
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
        this.recent.push(match.name);
        const list = this.#env.recent.get(match.name);
        const { time } = this.#env;
        this.matches.push(match.op === 'set' ? recentSet(list, time) : recentCheck(list, time, match.seconds));
        break;
      }
      case 'ipvs':
        this.matches.push(ipvsMatch(this.#env.virtualServers, match.proto, match.vaddr, match.vport));
        break;
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
        const number = this.#resolve.chain(target.chain);
        if (number === undefined)
          throw new NetlinkError('ENOENT', `${this.#table} ${chain}: chain ${target.chain} does not exist`);
        w[o + TARGET] = target.kind === 'jump' ? T_JUMP : T_GOTO;
        w[o + ARG] = number;
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
    throw new NetlinkError('EINVAL', `${this.#table} ${chain}: ${target} is only valid in the ${table} table`);
  }

  #setMatch(chain: string, match: Extract<Match, { kind: 'set' }>): MatchFn {
    const named = this.#env.sets.get(match.name);
    if (match.dims.length > named.set.dimensions) {
      throw new NetlinkError(
        'EINVAL',
        `${this.#table} ${chain}: set ${match.name} has ${named.set.dimensions} dimensions`,
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

/** After ipvs_mt() of xt_ipvs.c: never what IPVS has not dealt with, nor a reply. */
function ipvsMatch(servers: VirtualServers, proto: number, vaddr: number, vport: number): MatchFn {
  return (skb) => skb.ipvs && (servers.isRequestTo?.(skb, proto, vaddr, vport) ?? false);
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
