// Network devices of the emulated Node, after Linux net_device: a name, an ifindex, counters, and the Link that moves the
// packets (none for a dummy, such as kube-ipvs0). `lo` always is ifindex 1. A device hands what arrives to the one
// DeviceInput (the kernel) and counts what passes; the tap sees every packet of every device in both directions.
import type { Link, LinkReceiver } from '../../tcpip-ts/link.ts';
import type { Skb } from '../../tcpip-ts/skb.ts';
import type { Mac } from '../../tcpip-ts/wire/address.ts';
import { get16, word } from '../../tcpip-ts/wire/bytes.ts';

export type Direction = 'rx' | 'tx';

/** Sees packets as they cross devices: received ones before anything else, sent ones complete with their link header. Borrows skb. */
export interface PacketTap {
  packet(device: NetDevice, direction: Direction, skb: Skb): void;
}

/** Who takes what devices receive. Owns skb. */
export interface DeviceInput {
  receive(skb: Skb, device: NetDevice): void;
}

export type DeviceKind = 'ether' | 'ip' | 'dummy' | 'loopback';

export interface DeviceOptions {
  readonly mac?: Mac;
  readonly kind?: DeviceKind;
  /** Without a link; a link brings its own. */
  readonly mtu?: number;
}

const RX_PACKETS = 0;
const RX_BYTES = 1;
const TX_PACKETS = 2;
const TX_BYTES = 3;

export class NetDevice implements LinkReceiver {
  readonly ifindex: number;
  readonly name: string;
  readonly kind: DeviceKind;
  readonly mac: Mac;
  readonly mtu: number;
  /** LINK_F_* that the link takes; 0 without a link. */
  readonly features: number;
  readonly link: Link | null;
  /** A device that is down neither receives nor sends; a dummy's addresses are local all the same. */
  up: boolean;
  readonly #devices: Devices;
  /** The mac in two integers: 48 bits would be a boxed number wherever it is passed. */
  readonly #macHigh: number;
  readonly #macLow: number;
  readonly #counters = new Float64Array(4);

  constructor(devices: Devices, ifindex: number, name: string, link: Link | null, options: DeviceOptions) {
    this.#devices = devices;
    this.ifindex = ifindex;
    this.name = name;
    this.link = link;
    this.kind = options.kind ?? (link ? link.kind : 'dummy');
    this.mac = options.mac ?? 0;
    this.#macHigh = Math.floor(this.mac / 0x1_0000_0000);
    this.#macLow = this.mac | 0;
    this.mtu = link ? link.mtu : (options.mtu ?? 1500);
    this.features = link ? link.features : 0;
    this.up = this.kind !== 'dummy';
    link?.attach(this);
  }

  get rxPackets(): number {
    return this.#counters[RX_PACKETS]!;
  }

  get rxBytes(): number {
    return this.#counters[RX_BYTES]!;
  }

  get txPackets(): number {
    return this.#counters[TX_PACKETS]!;
  }

  get txBytes(): number {
    return this.#counters[TX_BYTES]!;
  }

  /** Whether the MAC at b[o] is this device's. */
  isMac(b: Uint8Array, o: number): boolean {
    return word(b, o + 2) === this.#macLow && get16(b, o) === this.#macHigh;
  }

  receive(skb: Skb): void {
    skb.iif = this.ifindex;
    this.#counters[RX_PACKETS]!++;
    this.#counters[RX_BYTES]! += skb.tail - (this.kind === 'ether' ? skb.mh : skb.nh);
    if (this.#devices.tap !== null) this.#devices.tap.packet(this, 'rx', skb);
    this.#devices.input.receive(skb, this);
  }

  /** Counts, shows to the tap and hands to the link a packet complete with link header; owns skb. */
  transmit(skb: Skb): void {
    // Whoever routes here has asked first, and has counted what it dropped.
    if (this.link === null || !this.up) {
      skb.free();
      return;
    }
    this.#counters[TX_PACKETS]!++;
    this.#counters[TX_BYTES]! += skb.tail - (this.kind === 'ether' ? skb.mh : skb.nh);
    // What lo sends it receives: seen once.
    if (this.#devices.tap !== null && this.kind !== 'loopback') this.#devices.tap.packet(this, 'tx', skb);
    this.link.transmit(skb);
  }
}

export class Devices {
  tap: PacketTap | null = null;
  /** Changes with every device added or removed: whoever caches by ifindex compares it. */
  generation = 0;
  readonly input: DeviceInput;
  readonly #byIndex: (NetDevice | undefined)[] = [];
  readonly #byName = new Map<string, NetDevice>();

  constructor(input: DeviceInput) {
    this.input = input;
  }

  /** Makes a device; the name must be free. Devices get ifindexes in order, never reused. */
  add(name: string, link: Link | null, options: DeviceOptions = {}): NetDevice {
    if (this.#byName.has(name)) throw new Error(`device ${name}: EEXIST`);
    const ifindex = Math.max(1, this.#byIndex.length);
    const device = new NetDevice(this, ifindex, name, link, options);
    this.#byIndex[ifindex] = device;
    this.#byName.set(name, device);
    this.generation++;
    return device;
  }

  /** Takes the device out; does not close its link. */
  remove(device: NetDevice): void {
    device.up = false;
    this.#byIndex[device.ifindex] = undefined;
    this.#byName.delete(device.name);
    this.generation++;
  }

  byIndex(ifindex: number): NetDevice | undefined {
    return this.#byIndex[ifindex];
  }

  byName(name: string): NetDevice | undefined {
    return this.#byName.get(name);
  }

  list(): NetDevice[] {
    return [...this.#byName.values()];
  }
}
