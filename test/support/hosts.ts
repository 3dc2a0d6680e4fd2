// Two stacks on one wire, 10.0.0.1 and 10.0.0.2, on a virtual clock: the usual bench of the stack's tests.
import { VirtualClock } from '../../src/lib/clock.ts';
import { SeededRng } from '../../src/lib/rng.ts';
import type { InterfaceOptions } from '../../src/tcpip-ts/ip/interface.ts';
import { SkbPool } from '../../src/tcpip-ts/skb.ts';
import { Stack } from '../../src/tcpip-ts/stack.ts';
import { ipv4, parseMac } from '../../src/tcpip-ts/wire/address.ts';
import { ether, MAC_A, MAC_B } from './packet.ts';
import { Wire, type WireOptions } from './wire.ts';

export const A = ipv4('10.0.0.1');
export const B = ipv4('10.0.0.2');

export interface Hosts {
  readonly clock: VirtualClock;
  readonly pool: SkbPool;
  readonly wire: Wire;
  readonly a: Stack;
  readonly b: Stack;
}

/** Host a at end a, host b at end b; both of MAC_A and MAC_B, on 10.0.0.0/24. */
export function twoHosts(options: WireOptions & { seed?: number; poolSize?: number } = {}): Hosts {
  const clock = new VirtualClock();
  const pool = new SkbPool(options.poolSize ?? 256);
  const wire = new Wire(clock, { pool, ...options });
  const seed = options.seed ?? 1;
  const a = new Stack({ clock, rng: new SeededRng(seed), pool });
  const b = new Stack({ clock, rng: new SeededRng(seed + 1), pool });
  a.addInterface(wire.a, { addr: A, prefixLen: 24, mac: parseMac(MAC_A) });
  b.addInterface(wire.b, { addr: B, prefixLen: 24, mac: parseMac(MAC_B) });
  return { clock, pool, wire, a, b };
}

export interface OneHost {
  readonly clock: VirtualClock;
  readonly pool: SkbPool;
  /** The test sits at end b: `inject('a', frame)` and `take('a')`. */
  readonly wire: Wire;
  readonly host: Stack;
}

/** A stack at end a as 10.0.0.1 (MAC_A); on an 'ether' wire it already knows 10.0.0.2 (MAC_B), so that no ARP disturbs. */
export function oneHost(options: WireOptions & Partial<InterfaceOptions> & { seed?: number } = {}): OneHost {
  const clock = new VirtualClock();
  const pool = new SkbPool(256);
  const wire = new Wire(clock, { pool, ...options });
  const host = new Stack({ clock, rng: new SeededRng(options.seed ?? 1), pool });
  const { anyAddress = false, addr = A, prefixLen = 24 } = options;
  const iface = host.addInterface(wire.a, { addr, prefixLen, mac: parseMac(MAC_A), anyAddress });
  iface.arp?.addStatic(B, parseMac(MAC_B));
  return { clock, pool, wire, host };
}

/** A frame from the test's station (MAC_B) to the host (MAC_A) of `oneHost`. */
export function toHost(packet: Uint8Array, fields: { dst?: string; src?: string; type?: number } = {}): Uint8Array {
  return ether(packet, { dst: MAC_A, src: MAC_B, ...fields });
}
