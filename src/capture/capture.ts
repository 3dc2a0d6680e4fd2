// A capture of a Node: every packet that crosses one of its devices, as pcapng, an interface for each device; or every packet that
// the Node drops, as it is then, with the reason as a comment. Hangs on the devices' tap, or on that of the drops, so nothing
// escapes it and it costs nothing when off. Transport checksums that offloads left partial are completed in the copy; the packet
// itself is not touched.
import type { Devices, Direction, NetDevice, PacketTap } from '../kernel/core/device.ts';
import { DROP_REASONS, type DropReason } from '../kernel/core/drop-reason.ts';
import type { Drops, DropTap } from '../kernel/core/drops.ts';
import type { Clock } from '../lib/clock.ts';
import { CHECKSUM_PARTIAL, type Skb } from '../tcpip-ts/skb.ts';
import { put16 } from '../tcpip-ts/wire/bytes.ts';
import { finish, sumBytes } from '../tcpip-ts/wire/checksum.ts';
import { ETH_P_IP, ethType } from '../tcpip-ts/wire/ethernet.ts';
import type { PacketFilter } from './filter.ts';
import { completeQuote } from './icmp-quote.ts';
import { LINKTYPE_ETHERNET, LINKTYPE_RAW, PcapngWriter } from './pcapng.ts';

/** Where names come from. They are written again, before the next packet, when `generation` has changed. */
export interface CaptureNames {
  readonly generation: number;
  /** Addresses of Pods and Services and their names. */
  addresses(): Iterable<readonly [addr: number, name: string]>;
  /** The Pod at the other end of a device, `namespace/name`. */
  podOfDevice(device: string): string | undefined;
}

export interface CaptureEnv {
  readonly nodeName: string;
  readonly devices: Devices;
  readonly taps: TapList;
  readonly clock: Clock;
  readonly names: CaptureNames;
}

export interface CaptureOptions {
  /** `namespace/name`; empty for all devices. */
  readonly pods: readonly string[];
  readonly filter: PacketFilter;
  /** Those that are dropped, in place of those that come and go. */
  readonly dropped: boolean;
  /** Gets the file's bytes in order. */
  readonly sink: (bytes: Uint8Array) => void;
}

const FLUSH_BYTES = 1 << 18;
const FLUSH_AFTER_US = 50_000;

/** In the place of an ifindex. */
const NO_DEVICE = 0;

export class Capture implements NodeTap {
  readonly #env: CaptureEnv;
  readonly #options: CaptureOptions;
  readonly #writer = new PcapngWriter();
  /** ifindex to interface number; -1 for a device that is not wanted. */
  readonly #interfaces = new Map<number, number>();
  /** Wall time of the clock's zero, in nanoseconds. */
  readonly #startNs: bigint;
  #interfaceCount = 0;
  #namesGeneration = -1;
  #flushing = false;
  #stopped = false;

  /** Begins at once. */
  constructor(env: CaptureEnv, options: CaptureOptions) {
    this.#env = env;
    this.#options = options;
    this.#startNs = BigInt(env.clock.unixMs()) * 1_000_000n - BigInt(Math.round(env.clock.nowUs() * 1000));
    this.#writer.section('podwire', `podwire node ${env.nodeName}`);
    this.#writeNames();
    this.#flush();
    env.taps.add(this);
  }

  /** Ends it; what was captured has been given to the sink. Idempotent. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#env.taps.remove(this);
    this.#flush();
  }

  packet(device: NetDevice, direction: Direction, skb: Skb): void {
    if (!this.#options.dropped) this.#packet(device, direction, skb);
  }

  /** The link header is that with which it came in, and there is none where it was made here. */
  dropped(skb: Skb, reason: DropReason): void {
    if (!this.#options.dropped) return;
    this.#packet(this.#env.devices.byIndex(skb.iif), 'rx', skb, `dropped: ${DROP_REASONS[reason]}`);
  }

  #packet(device: NetDevice | undefined, direction: Direction, skb: Skb, comment?: string): void {
    const id = this.#interfaces.get(device?.ifindex ?? NO_DEVICE) ?? this.#addInterface(device);
    if (id < 0) return;
    const ether = device?.kind === 'ether';
    if (!this.#options.filter(skb, ether)) return;
    if (this.#env.names.generation !== this.#namesGeneration) this.#writeNames();
    const start = ether ? skb.mh : skb.nh;
    const unixNs = this.#startNs + BigInt(Math.round(this.#env.clock.nowUs() * 1000));
    // A Node receives (inbound) what the Pod at the other end sends.
    const from = direction === 'rx' ? 'inbound' : 'outbound';
    const at = this.#writer.packet(id, unixNs, skb.tail - start, from, comment);
    const out = this.#writer.bytes();
    out.set(skb.bytes.subarray(start, skb.tail), at);
    if (skb.checksum === CHECKSUM_PARTIAL) {
      const sum = sumBytes(out, at + skb.csumStart - start, at + skb.tail - start, 0);
      put16(out, at + skb.csumField - start, finish(sum) || 0xffff);
    }
    if (!ether || ethType(skb.bytes, skb.mh) === ETH_P_IP)
      completeQuote(out, at + skb.nh - start, at + skb.tail - start);
    if (this.#writer.pending >= FLUSH_BYTES) this.#flush();
    else this.#flushSoon();
  }

  #addInterface(device: NetDevice | undefined): number {
    const { names, nodeName } = this.#env;
    const name = device?.name ?? nodeName;
    const pod = device && names.podOfDevice(name);
    const { pods } = this.#options;
    const wanted = pods.length === 0 || (pod !== undefined && pods.includes(pod));
    const id = wanted ? this.#interfaceCount++ : -1;
    if (wanted) {
      const linkType = device?.kind === 'ether' ? LINKTYPE_ETHERNET : LINKTYPE_RAW;
      const what = device ? `${name} on ${nodeName}` : `made by ${nodeName}`;
      this.#writer.interface(linkType, pod ?? name, pod ? `${what}, Pod ${pod}` : what);
    }
    this.#interfaces.set(device?.ifindex ?? NO_DEVICE, id);
    return id;
  }

  #writeNames(): void {
    this.#namesGeneration = this.#env.names.generation;
    this.#writer.names(this.#env.names.addresses());
  }

  #flushSoon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    this.#env.clock.after(FLUSH_AFTER_US, () => {
      this.#flushing = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#writer.pending > 0) this.#options.sink(this.#writer.take());
  }
}

type NodeTap = PacketTap & DropTap;

/** Lets several captures share the one tap of a Node's devices, and the one of its drops. */
export class TapList implements NodeTap {
  readonly #devices: Devices;
  readonly #drops: Drops;
  #taps: readonly NodeTap[] = [];

  constructor(devices: Devices, drops: Drops) {
    this.#devices = devices;
    this.#drops = drops;
  }

  add(tap: NodeTap): void {
    this.#taps = [...this.#taps, tap];
    this.#devices.tap = this;
    this.#drops.tap = this;
  }

  remove(tap: NodeTap): void {
    this.#taps = this.#taps.filter((t) => t !== tap);
    if (this.#taps.length > 0) return;
    this.#devices.tap = null;
    this.#drops.tap = null;
  }

  packet(device: NetDevice, direction: Direction, skb: Skb): void {
    for (let i = 0; i < this.#taps.length; i++) this.#taps[i]!.packet(device, direction, skb);
  }

  dropped(skb: Skb, reason: DropReason): void {
    for (let i = 0; i < this.#taps.length; i++) this.#taps[i]!.dropped(skb, reason);
  }
}
