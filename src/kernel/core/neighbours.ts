// From next hops to Ethernet frames: an Arp (src/tcpip-ts/arp: states, timers, bounded queues as net/core/neighbour.c) for each
// Ethernet device. Answers only for addresses of the receiving device (arp_ignore=1, as kube-proxy's strictARP sets it), so
// that ClusterIPs on kube-ipvs0 are never claimed; asks with the device's first address.
// Deviation: an address of the device that another station claims is announced again (RFC 5227); Linux does not.
import type { Clock } from '../../lib/clock.ts';
import type { Rng } from '../../lib/rng.ts';
import { Arp, type ArpEnv, type Neighbour } from '../../tcpip-ts/arp/arp.ts';
import { type Counters, NEIGH } from '../../tcpip-ts/counters.ts';
import type { Link } from '../../tcpip-ts/link.ts';
import type { Skb, SkbPool } from '../../tcpip-ts/skb.ts';
import type { Mac } from '../../tcpip-ts/wire/address.ts';
import { arpSpa, arpTpa, isArp } from '../../tcpip-ts/wire/arp.ts';
import type { Addresses } from '../ip/addresses.ts';
import type { NetDevice } from './device.ts';
import { DropReason } from './drop-reason.ts';
import type { Drops } from './drops.ts';

export interface NeighboursEnv {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly pool: SkbPool;
  readonly counters: Counters;
  readonly drops: Drops;
  readonly addresses: Addresses;
  /** Takes a packet whose next hop did not answer. */
  unreachable(skb: Skb): void;
}

/** No address at all. */
const NOBODY = -1;

export class Neighbours {
  readonly #env: NeighboursEnv;
  readonly #byDevice: (DeviceArp | undefined)[] = [];

  constructor(env: NeighboursEnv) {
    this.#env = env;
  }

  add(device: NetDevice): void {
    if (device.kind === 'ether') this.#byDevice[device.ifindex] = new DeviceArp(this.#env, device);
  }

  remove(device: NetDevice): void {
    this.#byDevice[device.ifindex]?.arp.close();
    this.#byDevice[device.ifindex] = undefined;
  }

  /** Sends the IP packet in `skb` to skb.nexthop on an Ethernet device, now or when it is resolved; owns `skb`. */
  output(skb: Skb, device: NetDevice): void {
    const entry = this.#byDevice[device.ifindex];
    if (entry === undefined) {
      this.#env.drops.drop(skb, DropReason.DEV_READY);
      return;
    }
    const { v } = this.#env.counters;
    const discards = v[NEIGH.ArpUnresolvedDiscards]! + v[NEIGH.ArpTableFulls]!;
    const { iif } = skb;
    entry.arp.output(skb);
    // The queue gives its oldest packet up for the newest; Arp counts that by itself.
    if (v[NEIGH.ArpUnresolvedDiscards]! + v[NEIGH.ArpTableFulls]! !== discards)
      this.#env.drops.tally(iif, DropReason.NEIGH_QUEUEFULL);
  }

  /** An ARP frame (skb.nh at the ARP header); owns `skb`. */
  input(skb: Skb, device: NetDevice): void {
    const entry = this.#byDevice[device.ifindex];
    if (entry === undefined || !isArp(skb.bytes, skb.nh, skb.tail)) {
      this.#env.drops.drop(skb, DropReason.PKT_TOO_SMALL);
      return;
    }
    entry.input(skb);
  }

  /** As `ip neigh show dev …`. */
  list(device: NetDevice): Neighbour[] {
    return [...(this.#byDevice[device.ifindex]?.arp.neighbours() ?? [])];
  }

  close(): void {
    for (const entry of this.#byDevice) entry?.arp.close();
    this.#byDevice.length = 0;
  }
}

/** Arp has one address; a device may have several: the one that a frame is about stands in for it while it is read. */
class DeviceArp implements ArpEnv {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly pool: SkbPool;
  readonly counters: Counters;
  readonly link: Link;
  readonly mac: Mac;
  readonly arp: Arp;
  readonly unreachable: (skb: Skb) => void;
  readonly #device: NetDevice;
  readonly #addresses: Addresses;
  #about = 0;

  constructor(env: NeighboursEnv, device: NetDevice) {
    this.clock = env.clock;
    this.rng = env.rng;
    this.pool = env.pool;
    this.counters = env.counters;
    this.link = transmitter(device);
    this.mac = device.mac;
    this.unreachable = (skb) => env.unreachable(skb);
    this.#device = device;
    this.#addresses = env.addresses;
    this.arp = new Arp(this);
  }

  get addr(): number {
    return this.#about !== 0 ? this.#about : this.#addresses.select(this.#device.ifindex, 0);
  }

  input(skb: Skb): void {
    const { ifindex } = this.#device;
    const tpa = arpTpa(skb.bytes, skb.nh);
    const spa = arpSpa(skb.bytes, skb.nh);
    this.#about = this.#addresses.isOn(ifindex, spa) ? spa : this.#addresses.isOn(ifindex, tpa) ? tpa : NOBODY;
    this.arp.input(skb);
    this.#about = 0;
  }
}

/** The device as the Link that Arp sends by, so that ARP and IP frames alike are counted and seen by the tap. */
function transmitter(device: NetDevice): Link {
  return {
    kind: 'ether',
    mtu: device.mtu,
    features: device.features,
    attach: () => {},
    transmit: (skb) => device.transmit(skb),
    close: () => {},
  };
}
