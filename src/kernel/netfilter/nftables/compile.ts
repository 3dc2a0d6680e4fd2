// From a chain's rules to the program that runs: instruction after instruction, as few words as they need, since with thousands of
// Services every word of them is cold. The first word of an instruction holds
//
//   bits 0-4    its code
//   bits 5-15   words from here to the next rule, where a match that fails goes on
//   bits 16-31  an argument
//
//   ip saddr != 10.0.0.0/8 jump mark     ADDRESS saddr|invert|24 0x0a000000 | VERDICT jump|mark
//
// Behind the last rule stands END, unless no packet comes there, and behind that what is longer than an instruction may be. Sets, maps
// and interface names stand in it as the numbers that the resolver gives; chains too, until link() puts their programs' offsets in
// their place.
import { NetlinkError } from '../../netlink.ts';
import { type Range, rangesOf } from './ranges.ts';
import { type AddressField, type Expression, type NftRule, type NftVerdict, portWord } from './ruleset.ts';

/** saddr or daddr, SHIFT_INVERT, 32 - prefix length | address */
export const OP_ADDRESS = 1;
/** saddr or daddr, SHIFT_INVERT | n | where the ranges are from here: first and last of each, sign bit flipped so that they compare as signed */
export const OP_ADDRESS_IN = 2;
/** saddr or daddr, SHIFT_INVERT | set */
export const OP_ADDRESS_SET = 3;
/** protocol */
export const OP_L4PROTO = 4;
/** | protocol << 16 | port */
export const OP_DPORT = 5;
/** INVERT | interface */
export const OP_IIFNAME = 6;
export const OP_CT_NEW = 7;
/** saddr or daddr */
export const OP_FIB_LOCAL = 8;
/** | mask | value */
export const OP_MARK = 9;
/** | mask | xor: mark = (mark & mask) ^ xor, as nft's bitwise expression */
export const OP_MARK_SET = 10;
/** HAS_ADDRESS | map */
export const OP_VMAP = 11;
/** n | where the n verdicts are from here */
export const OP_NUMGEN_VMAP = 12;
/** | set */
export const OP_UPDATE = 13;
/** port | address */
export const OP_DNAT = 14;
/** FULLY_RANDOM */
export const OP_MASQUERADE = 15;
export const OP_REJECT = 16;
/** | verdict */
export const OP_VERDICT = 17;
// These are no rule's.
export const OP_END = 18;
/** | offset of the program that is run in place of this one */
export const OP_FORWARD = 19;

export const OP_MASK = 31;
export const SKIP_SHIFT = 5;
export const SKIP_MASK = 0x7ff;
export const ARG_SHIFT = 16;
export const ARG_MASK = 0xffff;
// Arguments of a flag each, and of an address: the field's offset in the IP header, INVERT, and the shift that leaves the prefix.
export const INVERT = 0x80;
const HAS_ADDRESS = 1;
const FULLY_RANDOM = 1;
export const FIELD_MASK = 0x7f;
export const PREFIX_SHIFT = 8;
/** Flipped in the addresses of ranges. */
export const SIGN = 0x80000000 | 0;

/** A verdict is a number: its kind in the low bits, the offset of the chain's program above them. */
export const V_ACCEPT = 1;
export const V_DROP = 2;
export const V_RETURN = 3;
export const V_JUMP = 4;
export const V_GOTO = 5;
export const VERDICT_KIND = 7;
export const VERDICT_SHIFT = 3;

export interface Program {
  readonly code: Int32Array;
  /** Offset of each rule. */
  readonly starts: Int32Array;
  /** Where verdicts that lead to chains stand. */
  readonly links: readonly number[];
}

/** Each throws NetlinkError ENOENT for what does not exist. */
export interface Resolver {
  chain(name: string): number;
  set(name: string): number;
  map(name: string): { readonly id: number; readonly hasAddress: boolean };
  interface(name: string): number;
}

const KINDS = { accept: V_ACCEPT, drop: V_DROP, return: V_RETURN, jump: V_JUMP, goto: V_GOTO } as const;

export function encodeVerdict(verdict: NftVerdict, chain: (name: string) => number): number {
  return KINDS[verdict.kind] | (leadsOn(verdict) ? chain(verdict.chain) << VERDICT_SHIFT : 0);
}

/** Throws NetlinkError: what the resolver throws, E2BIG for what the program cannot hold. */
export function compile(rules: readonly NftRule[], resolve: Resolver): Program {
  const build = new Build(resolve);
  for (const rule of rules) build.rule(rule);
  return build.finish();
}

/** Puts the offsets of programs, by chain number, in the place of the chains. */
export function link({ code, links }: Program, offsets: Int32Array): void {
  for (const at of links) {
    const word = code[at]!;
    code[at] = (word & VERDICT_KIND) | (offsets[word >> VERDICT_SHIFT]! << VERDICT_SHIFT);
  }
}

class Build {
  readonly #resolve: Resolver;
  readonly #code: number[] = [];
  readonly #starts: number[] = [];
  readonly #links: number[] = [];
  /** Whether a packet may get past the last rule. */
  #isOpen = true;
  /** What comes behind END, and the word of its instruction that is to say how far away. */
  readonly #pool: { readonly instruction: number; readonly word: number; readonly write: () => void }[] = [];

  constructor(resolve: Resolver) {
    this.#resolve = resolve;
  }

  rule({ expressions }: NftRule): void {
    const code = this.#code;
    this.#starts.push(code.length);
    this.#isOpen = expressions.length !== 1 || !isFinal(expressions[0]!);
    const instructions = expressions.map((e) => {
      const at = code.length;
      code.push(...this.#encode(e, at));
      return at;
    });
    for (const at of instructions) {
      const skip = code.length - at;
      if (skip > SKIP_MASK)
        throw new NetlinkError('E2BIG', `a rule of ${expressions.length} expressions is too long: make it several`);
      code[at]! |= skip << SKIP_SHIFT;
    }
  }

  finish(): Program {
    const code = this.#code;
    if (this.#isOpen) code.push(OP_END);
    for (const { instruction, word, write } of this.#pool) {
      code[instruction + word] = code.length - instruction;
      write();
    }
    return { code: Int32Array.from(code), starts: Int32Array.from(this.#starts), links: this.#links };
  }

  /** The words of the instruction that is to stand at `at`. */
  #encode(e: Expression, at: number): number[] {
    const resolve = this.#resolve;
    switch (e.kind) {
      case 'address':
        // A shift by 32 bits would shift nothing.
        if (e.prefixLen === 0) return this.#addressIn(e.field, e.invert, [[0, 0xffffffff]], at);
        return [first(OP_ADDRESS, argOf(e.field, e.invert) | ((32 - e.prefixLen) << PREFIX_SHIFT)), e.addr | 0];
      case 'address-in':
        return this.#addressIn(e.field, e.invert, rangesOf(e.prefixes), at);
      case 'address-set':
        return [first(OP_ADDRESS_SET, argOf(e.field, e.invert)), resolve.set(e.set)];
      case 'l4proto':
        return [first(OP_L4PROTO, e.proto)];
      case 'dport':
        return [OP_DPORT, portWord(e)];
      case 'iifname':
        return [first(OP_IIFNAME, e.invert ? INVERT : 0), resolve.interface(e.name)];
      case 'ct-state-new':
        return [OP_CT_NEW];
      case 'fib-local':
        return [first(OP_FIB_LOCAL, argOf(e.field))];
      case 'mark':
        return [OP_MARK, e.mask, e.value];
      case 'mark-set':
        if (e.operator === 'and') return [OP_MARK_SET, e.value, 0];
        return [OP_MARK_SET, e.operator === 'or' ? ~e.value : -1, e.value];
      case 'vmap': {
        const { id, hasAddress } = resolve.map(e.map);
        return [first(OP_VMAP, hasAddress ? HAS_ADDRESS : 0), id];
      }
      case 'numgen-vmap':
        // As nft_ng_random_init() of Linux's nft_numgen.c.
        if (e.verdicts.length === 0) throw new NetlinkError('ERANGE', 'numgen random mod 0');
        if (e.verdicts.length > ARG_MASK)
          throw new NetlinkError('E2BIG', `numgen random mod ${e.verdicts.length}: ${ARG_MASK} at most`);
        if (e.verdicts.length === 1) return [OP_VERDICT, this.#verdict(e.verdicts[0]!, at + 1)]; // a die of one side
        this.#pool.push({ instruction: at, word: 1, write: () => this.#numgen(e.verdicts) });
        return [first(OP_NUMGEN_VMAP, e.verdicts.length), 0];
      case 'update':
        return [OP_UPDATE, resolve.set(e.set)];
      case 'dnat':
        return [first(OP_DNAT, e.port), e.addr | 0];
      case 'masquerade':
        return [first(OP_MASQUERADE, e.fullyRandom ? FULLY_RANDOM : 0)];
      case 'reject':
        return [OP_REJECT];
      case 'verdict':
        return [OP_VERDICT, this.#verdict(e.verdict, at + 1)];
    }
  }

  #addressIn(field: AddressField, invert: boolean | undefined, ranges: readonly Range[], at: number): number[] {
    const write = (): void => {
      for (const [low, high] of ranges) this.#code.push(low ^ SIGN, high ^ SIGN);
    };
    this.#pool.push({ instruction: at, word: 2, write });
    return [first(OP_ADDRESS_IN, argOf(field, invert)), ranges.length, 0];
  }

  #numgen(verdicts: readonly NftVerdict[]): void {
    for (const v of verdicts) this.#code.push(this.#verdict(v, this.#code.length));
  }

  #verdict(verdict: NftVerdict, at: number): number {
    if (leadsOn(verdict)) this.#links.push(at);
    return encodeVerdict(verdict, (name) => this.#resolve.chain(name));
  }
}

/** Whether a rule of this alone ends the chain for every packet; a jump comes back. */
function isFinal(e: Expression): boolean {
  const isLast = ({ kind }: NftVerdict): boolean => kind !== 'jump';
  switch (e.kind) {
    case 'numgen-vmap':
      return e.verdicts.every(isLast);
    case 'verdict':
      return isLast(e.verdict);
    case 'dnat':
    case 'masquerade':
    case 'reject':
      return true;
    default:
      return false;
  }
}

function first(op: number, arg: number): number {
  return op | (arg << ARG_SHIFT);
}

function leadsOn(verdict: NftVerdict): verdict is Extract<NftVerdict, { readonly chain: string }> {
  return verdict.kind === 'jump' || verdict.kind === 'goto';
}

function argOf(field: AddressField, invert?: boolean): number {
  return (field === 'saddr' ? 12 : 16) | (invert ? INVERT : 0);
}
