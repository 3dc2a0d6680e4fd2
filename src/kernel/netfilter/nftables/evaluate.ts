// The walk: runs a base chain's program over a packet, after nft_do_chain() of net/netfilter/nf_tables_core.c (v6.6). Nothing is
// allocated but when a dynamic set grows. A dispatch by a verdict map is one look-up, so the cost does not grow with Services.
import type { Rng } from '../../../lib/rng.ts';
import type { Skb } from '../../../tcpip-ts/skb.ts';
import { get16, get32 } from '../../../tcpip-ts/wire/bytes.ts';
import type { Devices } from '../../core/device.ts';
import type { Fib } from '../../ip/fib.ts';
import { IP_CT_NEW } from '../conntrack/ctinfo.ts';
import {
  type HookNumber,
  NF_ACCEPT,
  NF_DROP,
  NF_INET_LOCAL_OUT,
  NF_INET_POST_ROUTING,
  type Verdict,
} from '../hooks.ts';
import { InterfaceNames } from '../interface-names.ts';
import type { TargetActions } from '../iptables/table.ts';
import {
  ARG_MASK,
  ARG_SHIFT,
  FIELD_MASK,
  INVERT,
  OP_ADDRESS,
  OP_ADDRESS_IN,
  OP_ADDRESS_SET,
  OP_CT_NEW,
  OP_DNAT,
  OP_DPORT,
  OP_END,
  OP_FIB_LOCAL,
  OP_FORWARD,
  OP_IIFNAME,
  OP_L4PROTO,
  OP_MARK,
  OP_MARK_SET,
  OP_MASK,
  OP_MASQUERADE,
  OP_NUMGEN_VMAP,
  OP_REJECT,
  OP_UPDATE,
  OP_VERDICT,
  OP_VMAP,
  PREFIX_SHIFT,
  SIGN,
  SKIP_MASK,
  SKIP_SHIFT,
  V_ACCEPT,
  V_DROP,
  V_GOTO,
  V_JUMP,
  V_RETURN,
  VERDICT_KIND,
  VERDICT_SHIFT,
} from './compile.ts';
import type { LookupTable } from './lookup-table.ts';
import { ProgramArena } from './program-arena.ts';
import type { SetTable } from './set-table.ts';

/** NFT_JUMP_STACK_SIZE. */
export const JUMP_STACK = 16;
/** No verdict: on to the next instruction of the rule. */
const V_CONTINUE = 0;
/** The rule does not match: on to the next one. */
const V_BREAK = -1;
/** A statement has given the packet's hook verdict; it stands in #result. */
const V_DONE = -2;

export interface EvaluatorEnv {
  readonly fib: Fib;
  readonly rng: Rng;
  readonly devices: Devices;
  readonly actions: TargetActions;
  readonly net: { readonly nowUs: number };
}

/** Told of each rule that matched and did something: its program's offset, and the instruction's in it. */
export type RuleObserver = (skb: Skb, hook: HookNumber, program: number, pc: number) => void;

export class Evaluator {
  /** Programs of all chains. */
  readonly programs = new ProgramArena();
  readonly sets: (SetTable | undefined)[] = [];
  readonly maps: (LookupTable | undefined)[] = [];
  readonly interfaces: InterfaceNames;
  /** While somebody traces. */
  observer: RuleObserver | null = null;
  readonly #env: EvaluatorEnv;
  readonly #stackBase = new Int32Array(JUMP_STACK);
  readonly #stackPc = new Int32Array(JUMP_STACK);
  #result: Verdict = NF_ACCEPT;

  constructor(env: EvaluatorEnv) {
    this.#env = env;
    this.interfaces = new InterfaceNames(env.devices, '*');
  }

  /** Walks base chain `chain`. With NF_DROP freeing is the caller's, with NF_STOLEN it has been done. */
  run(skb: Skb, hook: HookNumber, chain: number): Verdict {
    const { code, offsets } = this.programs;
    let base = offsets[chain]!;
    let pc = base;
    let depth = 0;
    for (;;) {
      const word = code[pc]!;
      const op = word & OP_MASK;
      if (op >= OP_END) {
        if (op === OP_FORWARD) {
          base = code[pc + 1]!;
          pc = base;
          continue;
        }
        if (depth === 0) return NF_ACCEPT;
        depth--;
        base = this.#stackBase[depth]!;
        pc = this.#stackPc[depth]!;
        continue;
      }
      const verdict = this.#step(word, code, pc, skb, hook);
      if (verdict === V_BREAK) {
        pc += (word >> SKIP_SHIFT) & SKIP_MASK;
        continue;
      }
      if (verdict === V_CONTINUE) {
        if (this.observer !== null && (op === OP_MARK_SET || op === OP_UPDATE))
          this.observer(skb, hook, base, pc - base);
        pc += SIZES[op]!;
        continue;
      }
      if (this.observer !== null && (verdict !== V_DONE || this.#result === NF_ACCEPT))
        this.observer(skb, hook, base, pc - base);
      if (verdict === V_DONE) return this.#result;
      switch (verdict & VERDICT_KIND) {
        case V_ACCEPT:
          return NF_ACCEPT;
        case V_DROP:
          return NF_DROP;
        case V_RETURN:
          if (depth === 0) return NF_ACCEPT;
          depth--;
          base = this.#stackBase[depth]!;
          pc = this.#stackPc[depth]!;
          break;
        case V_JUMP:
          if (depth === JUMP_STACK) return NF_DROP;
          this.#stackBase[depth] = base;
          this.#stackPc[depth] = pc + ((word >> SKIP_SHIFT) & SKIP_MASK);
          depth++;
          base = verdict >> VERDICT_SHIFT;
          pc = base;
          break;
        case V_GOTO:
          base = verdict >> VERDICT_SHIFT;
          pc = base;
          break;
      }
    }
  }

  /** One instruction, whose first word is given: V_CONTINUE, V_BREAK, V_DONE or an encoded verdict. */
  #step(word: number, code: Int32Array, pc: number, skb: Skb, hook: HookNumber): number {
    const b = skb.bytes;
    const { nh } = skb;
    const arg = (word >> ARG_SHIFT) & ARG_MASK;
    switch (word & OP_MASK) {
      case OP_ADDRESS: {
        const differs = (get32(b, nh + (arg & FIELD_MASK)) ^ code[pc + 1]!) >>> (arg >> PREFIX_SHIFT);
        return (differs === 0) === ((arg & INVERT) !== 0) ? V_BREAK : V_CONTINUE;
      }
      case OP_ADDRESS_IN: {
        const isIn = isInRanges(code, pc + code[pc + 2]!, code[pc + 1]!, get32(b, nh + (arg & FIELD_MASK)) ^ SIGN);
        return isIn === ((arg & INVERT) !== 0) ? V_BREAK : V_CONTINUE;
      }
      case OP_ADDRESS_SET: {
        const isIn = this.sets[code[pc + 1]!]!.has(get32(b, nh + (arg & FIELD_MASK)) | 0, this.#env.net);
        return isIn === ((arg & INVERT) !== 0) ? V_BREAK : V_CONTINUE;
      }
      case OP_L4PROTO:
        return b[nh + 9] === arg ? V_CONTINUE : V_BREAK;
      case OP_DPORT:
        return skb.th + 4 <= skb.tail && ((b[nh + 9]! << 16) | get16(b, skb.th + 2)) === code[pc + 1]
          ? V_CONTINUE
          : V_BREAK;
      case OP_IIFNAME:
        return this.#isInterface(code[pc + 1]!, skb, hook) === (arg === INVERT) ? V_BREAK : V_CONTINUE;
      case OP_CT_NEW:
        return skb.ct !== 0 && skb.ctinfo === IP_CT_NEW ? V_CONTINUE : V_BREAK;
      case OP_FIB_LOCAL:
        return this.#env.fib.isLocal(get32(b, nh + arg) | 0) ? V_CONTINUE : V_BREAK;
      case OP_MARK:
        return (skb.mark & code[pc + 1]!) === code[pc + 2]! ? V_CONTINUE : V_BREAK;
      case OP_MARK_SET:
        skb.mark = ((skb.mark & code[pc + 1]!) ^ code[pc + 2]!) >>> 0;
        return V_CONTINUE;
      case OP_VMAP: {
        if (skb.th + 4 > skb.tail) return V_BREAK;
        const daddr = arg !== 0 ? get32(b, nh + 16) | 0 : 0;
        const map = this.maps[code[pc + 1]!]!;
        const at = map.find(daddr, (b[nh + 9]! << 16) | get16(b, skb.th + 2));
        return at < 0 ? V_BREAK : map.value[at]! | 0; // a whole number, or it would be boxed
      }
      case OP_NUMGEN_VMAP:
        return code[pc + code[pc + 1]! + this.#env.rng.below(arg)]!;
      case OP_UPDATE:
        return this.sets[code[pc + 1]!]!.update(get32(b, nh + 12) | 0, this.#env.net) ? V_CONTINUE : V_BREAK;
      case OP_DNAT:
        this.#result = this.#env.actions.dnat(skb, code[pc + 1]! >>> 0, arg);
        return V_DONE;
      case OP_MASQUERADE:
        this.#result = this.#env.actions.masquerade(skb, arg !== 0);
        return V_DONE;
      case OP_REJECT:
        this.#result = this.#env.actions.reject(skb, hook, false);
        return V_DONE;
      case OP_VERDICT:
        return code[pc + 1]!;
      default:
        return V_BREAK;
    }
  }

  #isInterface(number: number, skb: Skb, hook: HookNumber): boolean {
    // A packet being sent has no interface it came in by.
    const iif = hook === NF_INET_LOCAL_OUT || hook === NF_INET_POST_ROUTING ? 0 : skb.iif;
    return this.interfaces.matches(number, iif);
  }
}

/** Words of the instructions that can be followed by another. */
const SIZES = Int32Array.from(
  { length: OP_MASK + 1 },
  (_, op) =>
    ({
      [OP_ADDRESS]: 2,
      [OP_ADDRESS_IN]: 3,
      [OP_ADDRESS_SET]: 2,
      [OP_L4PROTO]: 1,
      [OP_DPORT]: 2,
      [OP_IIFNAME]: 2,
      [OP_CT_NEW]: 1,
      [OP_FIB_LOCAL]: 1,
      [OP_MARK]: 3,
      [OP_MARK_SET]: 3,
      [OP_UPDATE]: 2,
    })[op] ?? 0,
);

/** Binary search in sorted ranges that do not touch. */
function isInRanges(code: Int32Array, from: number, n: number, addr: number): boolean {
  let low = 0;
  let high = n;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (addr > code[from + middle * 2 + 1]!) low = middle + 1;
    else high = middle;
  }
  return low < n && addr >= code[from + low * 2]!;
}
