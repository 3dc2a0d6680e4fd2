// ARP on one Ethernet interface: RFC 826, RFC 1122 2.3.2, address defence of RFC 5227 2.4, with the states, counts and times of
// Linux's neighbour code (net/core/neighbour.c, net/ipv4/arp.c).
//
//   (packet to send) -> INCOMPLETE -reply-> REACHABLE -30 s-> STALE -used-> DELAY -5 s-> PROBE -reply-> REACHABLE
//                       └-3 requests, 1 s each, no reply-> FAILED <-3 unicast requests, no reply-┘
//
// - While INCOMPLETE, the latest 16 packets for the address wait; on FAILED their senders hear EHOSTUNREACH.
// - Learnt from: replies to us, and requests for one of our addresses. What is not asked for only updates an entry that is
//   there already (arp_accept=0): a stranger cannot fill the table.
// - A claim of our own address by another station is never learnt; it is counted and answered by one announcement in 10 s.
// - Probes (sender 0.0.0.0) are answered and not learnt from.
// Leaves out: confirmations by TCP progress, locktime, proxy ARP. Times in microseconds.
import type { Clock } from '../../lib/clock.ts';
import type { Rng } from '../../lib/rng.ts';
import { TimerWheel } from '../../lib/timer-wheel.ts';
import type { Counters } from '../counters.ts';
import { NEIGH } from '../counters.ts';
import type { Link } from '../link.ts';
import type { Skb, SkbPool } from '../skb.ts';
import type { IpAddress, Mac } from '../wire/address.ts';
import { ARP_LEN, ARPOP_REPLY, ARPOP_REQUEST, arpOp, arpSha, arpSpa, arpTpa, emitArp, isArp } from '../wire/arp.ts';
import { ETH_HLEN, ETH_P_ARP, emitEthernet, MAC_BROADCAST } from '../wire/ethernet.ts';
import {
  HEADER_STRIDE,
  NeighbourTable,
  NONE,
  NUD_DELAY,
  NUD_FAILED,
  NUD_FREE,
  NUD_INCOMPLETE,
  NUD_PERMANENT,
  NUD_PROBE,
  NUD_REACHABLE,
  NUD_STALE,
} from './neighbour-table.ts';

const REACHABLE_US = 30e6; // base_reachable_time; the actual time is drawn from half to one and a half of it
const DELAY_PROBE_US = 5e6; // delay_first_probe_time
const RETRANS_US = 1e6; // retrans_time
const SOLICITATIONS = 3; // mcast_solicit and ucast_solicit
/** Packets, not bytes: each holds a 64 KiB slot of the pool. All entries together may hold an eighth of it. */
const MAX_PENDING = 16;
const DEFEND_INTERVAL_US = 10e6; // RFC 5227 DEFEND_INTERVAL
const TICK_US = 50e3;

const STATE_NAMES = ['free', 'incomplete', 'reachable', 'stale', 'delay', 'probe', 'failed', 'permanent'] as const;
export type NeighbourState = (typeof STATE_NAMES)[number];

export interface Neighbour {
  readonly addr: IpAddress;
  readonly mac: Mac;
  readonly state: NeighbourState;
  /** Packets waiting. */
  readonly pending: number;
}

export interface ArpEnv {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly pool: SkbPool;
  readonly counters: Counters;
  readonly link: Link;
  readonly mac: Mac;
  /** The interface's own address. */
  readonly addr: number;
  /** Takes ownership of a packet whose next hop did not answer. */
  readonly unreachable: (skb: Skb) => void;
}

export class Arp {
  readonly #env: ArpEnv;
  readonly #table = new NeighbourTable();
  readonly #timers: TimerWheel;
  readonly #maxWaiting: number;
  #defendedUs = -DEFEND_INTERVAL_US;

  constructor(env: ArpEnv) {
    this.#env = env;
    this.#maxWaiting = Math.max(MAX_PENDING, env.pool.size >> 3);
    this.#timers = new TimerWheel(env.clock, TICK_US, (i) => this.#expire(i), 8);
  }

  /** Sends the IP packet at skb.nh to neighbour skb.nexthop, now or when it is resolved; owns `skb`. */
  output(skb: Skb): void {
    const table = this.#table;
    let i = table.lookup(skb.nexthop | 0);
    if (i === NONE) {
      i = table.insert(skb.nexthop, this.#evicted);
      if (i === NONE) {
        this.#env.counters.v[NEIGH.ArpTableFulls]!++;
        skb.free();
        return;
      }
    }
    table.referenced[i] = 1;
    switch (table.state[i]) {
      case NUD_STALE:
        table.state[i] = NUD_DELAY;
        this.#timers.arm(i, DELAY_PROBE_US);
        break;
      case NUD_FREE:
      case NUD_FAILED:
        table.state[i] = NUD_INCOMPLETE;
        table.probes[i] = 0;
        this.#wait(i, skb);
        this.#solicit(i);
        return;
      case NUD_INCOMPLETE:
        this.#wait(i, skb);
        return;
    }
    this.#transmit(skb, i);
  }

  /** An ARP frame from the link; owns `skb`. */
  input(skb: Skb): void {
    const b = skb.bytes;
    const o = skb.nh;
    if (!isArp(b, o, skb.tail)) {
      skb.free();
      return;
    }
    const op = arpOp(b, o);
    const sha = arpSha(b, o);
    const spa = arpSpa(b, o);
    const tpa = arpTpa(b, o);
    skb.free();
    const { addr, mac } = this.#env;
    if (sha === mac || isGroup(sha) || spa >>> 28 >= 14 || spa >>> 24 === 127) return;
    if (spa === addr) {
      this.#conflict();
      return;
    }
    const forUs = tpa === addr;
    if (spa !== 0) this.#learn(spa, sha, op, forUs);
    if (op === ARPOP_REQUEST && forUs) this.#send(ARPOP_REPLY, sha, addr, sha, spa);
  }

  /** Makes `addr` known without asking, for good: the packet never waits and the entry never ages. False when the table is full. */
  addStatic(addr: number, mac: Mac): boolean {
    const table = this.#table;
    let i = table.lookup(addr);
    if (i === NONE) i = table.insert(addr, this.#evicted);
    if (i === NONE) return false;
    this.#timers.disarm(i);
    table.setMac(i, mac, this.#env.mac);
    table.state[i] = NUD_PERMANENT;
    for (let skb = table.dequeue(i); skb; skb = table.dequeue(i)) this.output(skb);
    return true;
  }

  /** Tells everyone on the link where our address is: a gratuitous ARP request. */
  announce(): void {
    this.#send(ARPOP_REQUEST, MAC_BROADCAST, this.#env.addr, 0, this.#env.addr);
  }

  /** The cache, for showing. */
  *neighbours(): Generator<Neighbour> {
    const table = this.#table;
    for (let i = 0; i < table.size; i++) {
      yield {
        addr: table.addr[i]!,
        mac: table.mac[i]!,
        state: STATE_NAMES[table.state[i]!]!,
        pending: table.pendingCount[i]!,
      };
    }
  }

  /** Frees what waits and stops the timers. */
  close(): void {
    this.#timers.close();
    for (let i = 0; i < this.#table.size; i++) this.#drop(i);
  }

  /** Queues `skb` for entry `i`; the oldest of a full queue is lost, as in Linux. */
  #wait(i: number, skb: Skb): void {
    const table = this.#table;
    const isFull = table.pendingCount[i]! >= MAX_PENDING;
    if (isFull || table.waiting >= this.#maxWaiting) {
      this.#env.counters.v[NEIGH.ArpUnresolvedDiscards]!++;
      const oldest = table.dequeue(i);
      if (!oldest) {
        skb.free();
        return;
      }
      oldest.free();
    }
    table.enqueue(i, skb);
  }

  #learn(spa: number, sha: Mac, op: number, forUs: boolean): void {
    const table = this.#table;
    let i = table.lookup(spa);
    if (i === NONE) {
      if (!forUs || op !== ARPOP_REQUEST) return; // a reply nobody asked for
      i = table.insert(spa, this.#evicted);
      if (i === NONE) return;
    }
    const known = table.mac[i] === sha;
    const state = table.state[i];
    if (state === NUD_PERMANENT) return;
    table.setMac(i, sha, this.#env.mac);
    // Only an answer to us proves that the way there and back works; anything else is news to be checked on use.
    if (op === ARPOP_REPLY && forUs) {
      table.state[i] = NUD_REACHABLE;
      this.#timers.arm(i, REACHABLE_US * (0.5 + this.#env.rng.float()));
    } else if (!known || state === NUD_FREE || state === NUD_INCOMPLETE || state === NUD_FAILED) {
      table.state[i] = NUD_STALE;
      this.#timers.disarm(i);
    }
    if (state !== NUD_INCOMPLETE) return;
    for (let skb = table.dequeue(i); skb; skb = table.dequeue(i)) this.output(skb);
  }

  #expire(i: number): void {
    const table = this.#table;
    switch (table.state[i]) {
      case NUD_REACHABLE:
        table.state[i] = NUD_STALE;
        return;
      case NUD_DELAY:
        table.state[i] = NUD_PROBE;
        table.probes[i] = 0;
        this.#solicit(i);
        return;
      case NUD_INCOMPLETE:
      case NUD_PROBE:
        if (table.probes[i]! < SOLICITATIONS) {
          this.#solicit(i);
          return;
        }
        table.state[i] = NUD_FAILED;
        this.#env.counters.v[NEIGH.ArpResFailed]!++;
        // A report may make a transport send again, which starts a new resolution: take the packets out first.
        for (let n = table.pendingCount[i]!; n > 0; n--) {
          const skb = table.dequeue(i);
          if (skb) this.#env.unreachable(skb);
        }
    }
  }

  #solicit(i: number): void {
    const table = this.#table;
    table.probes[i]!++;
    this.#timers.arm(i, RETRANS_US);
    const dst = table.state[i] === NUD_PROBE ? table.mac[i]! : MAC_BROADCAST;
    this.#send(ARPOP_REQUEST, dst, this.#env.addr, 0, table.addr[i]!);
  }

  #conflict(): void {
    this.#env.counters.v[NEIGH.ArpConflicts]!++;
    const now = this.#env.clock.nowUs();
    if (now - this.#defendedUs < DEFEND_INTERVAL_US) return;
    this.#defendedUs = now;
    this.announce();
  }

  #send(op: number, dst: Mac, spa: number, tha: Mac, tpa: number): void {
    const { pool, mac, link } = this.#env;
    const skb = pool.alloc();
    if (!skb) return; // asked again by the timer
    emitEthernet(skb.bytes, skb.mh, dst, mac, ETH_P_ARP);
    emitArp(skb.bytes, skb.nh, op, mac, spa, tha, tpa);
    skb.tail = skb.nh + ARP_LEN;
    link.transmit(skb);
  }

  /** Puts the header of entry `i` before the packet: a copy, since MACs as arguments would be boxed. */
  #transmit(skb: Skb, i: number): void {
    const b = skb.bytes;
    const header = this.#table.header;
    const from = i * HEADER_STRIDE;
    const mh = skb.nh - ETH_HLEN;
    for (let n = 0; n < ETH_HLEN; n++) b[mh + n] = header[from + n]!;
    skb.mh = mh;
    this.#env.link.transmit(skb);
  }

  #drop(i: number): void {
    for (let skb = this.#table.dequeue(i); skb; skb = this.#table.dequeue(i)) skb.free();
  }

  readonly #evicted = (i: number): void => {
    this.#timers.disarm(i);
    this.#drop(i);
  };
}

function isGroup(mac: Mac): boolean {
  return (Math.floor(mac / 0x100_0000_0000) & 1) !== 0;
}
