// From a chain's rules to the program that runs: one Int32Array a chain, instruction after instruction. Each begins with its
// code and the offset of the next rule, where a match that fails goes on. Only the chains that a transaction touched are compiled.
//
//   ip saddr != 10.0.0.0/8 jump mark     ADDRESS end 12 0x0a000000 0xff000000 1 | VERDICT end jump|mark
//
// Chains, sets, maps and interface names stand in it as the numbers that the resolver gives.
import { netmask } from '../../../tcpip-ts/wire/address.ts';
import { rangesOf } from './ranges.ts';
import { type AddressField, type Expression, type NftRule, type NftVerdict, portWord } from './ruleset.ts';

/** at, address, mask, invert */
export const OP_ADDRESS = 1;
/** at, invert, n, then first and last of each range, sign bit flipped so that they compare as signed */
export const OP_ADDRESS_IN = 2;
/** at, set, invert */
export const OP_ADDRESS_SET = 3;
/** protocol */
export const OP_L4PROTO = 4;
/** protocol << 16 | port */
export const OP_DPORT = 5;
/** interface, invert */
export const OP_IIFNAME = 6;
export const OP_CT_NEW = 7;
/** at */
export const OP_FIB_LOCAL = 8;
/** mask, value */
export const OP_MARK = 9;
/** mask, xor: mark = (mark & mask) ^ xor, as nft's bitwise expression */
export const OP_MARK_SET = 10;
/** map, whether its key begins with the destination's address */
export const OP_VMAP = 11;
/** n, then n verdicts */
export const OP_NUMGEN_VMAP = 12;
/** set */
export const OP_UPDATE = 13;
/** address, port */
export const OP_DNAT = 14;
/** fully random */
export const OP_MASQUERADE = 15;
export const OP_REJECT = 16;
/** verdict */
export const OP_VERDICT = 17;

/** A verdict is a number: its kind in the low bits, the chain above them. */
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
}

/** Each throws NetlinkError ENOENT for what does not exist. */
export interface Resolver {
  chain(name: string): number;
  set(name: string): number;
  map(name: string): { readonly id: number; readonly hasAddress: boolean };
  interface(name: string): number;
}

const KINDS = { accept: V_ACCEPT, drop: V_DROP, return: V_RETURN, jump: V_JUMP, goto: V_GOTO } as const;

export function encodeVerdict(verdict: NftVerdict, resolve: Pick<Resolver, 'chain'>): number {
  const chain = verdict.kind === 'jump' || verdict.kind === 'goto' ? resolve.chain(verdict.chain) : 0;
  return KINDS[verdict.kind] | (chain << VERDICT_SHIFT);
}

export const EMPTY_PROGRAM: Program = { code: new Int32Array(0), starts: new Int32Array(0) };

export function compile(rules: readonly NftRule[], resolve: Resolver): Program {
  const code: number[] = [];
  const starts = new Int32Array(rules.length);
  rules.forEach((rule, i) => {
    starts[i] = code.length;
    const ends: number[] = [];
    for (const expression of rule.expressions) {
      ends.push(code.length + 1);
      const [op, ...args] = encode(expression, resolve);
      code.push(op!, 0, ...args);
    }
    for (const at of ends) code[at] = code.length;
  });
  return { code: Int32Array.from(code), starts };
}

function encode(e: Expression, resolve: Resolver): number[] {
  switch (e.kind) {
    case 'address': {
      const mask = netmask(e.prefixLen);
      return [OP_ADDRESS, offsetOf(e.field), e.addr & mask, mask, flag(e.invert)];
    }
    case 'address-in': {
      const ranges = rangesOf(e.prefixes);
      const words = ranges.flatMap(([first, last]) => [first ^ SIGN, last ^ SIGN]);
      return [OP_ADDRESS_IN, offsetOf(e.field), flag(e.invert), ranges.length, ...words];
    }
    case 'address-set':
      return [OP_ADDRESS_SET, offsetOf(e.field), resolve.set(e.set), flag(e.invert)];
    case 'l4proto':
      return [OP_L4PROTO, e.proto];
    case 'dport':
      return [OP_DPORT, portWord(e)];
    case 'iifname':
      return [OP_IIFNAME, resolve.interface(e.name), flag(e.invert)];
    case 'ct-state-new':
      return [OP_CT_NEW];
    case 'fib-local':
      return [OP_FIB_LOCAL, offsetOf(e.field)];
    case 'mark':
      return [OP_MARK, e.mask, e.value];
    case 'mark-set':
      if (e.operator === 'and') return [OP_MARK_SET, e.value, 0];
      return e.operator === 'or' ? [OP_MARK_SET, ~e.value, e.value] : [OP_MARK_SET, -1, e.value];
    case 'vmap': {
      const { id, hasAddress } = resolve.map(e.map);
      return [OP_VMAP, id, flag(hasAddress)];
    }
    case 'numgen-vmap':
      return [OP_NUMGEN_VMAP, e.verdicts.length, ...e.verdicts.map((v) => encodeVerdict(v, resolve))];
    case 'update':
      return [OP_UPDATE, resolve.set(e.set)];
    case 'dnat':
      return [OP_DNAT, e.addr, e.port];
    case 'masquerade':
      return [OP_MASQUERADE, flag(e.fullyRandom)];
    case 'reject':
      return [OP_REJECT];
    case 'verdict':
      return [OP_VERDICT, encodeVerdict(e.verdict, resolve)];
  }
}

export const SIGN = 0x80000000 | 0;

/** In the IP header. */
function offsetOf(field: AddressField): number {
  return field === 'saddr' ? 12 : 16;
}

function flag(value: boolean | undefined): number {
  return value ? 1 : 0;
}
