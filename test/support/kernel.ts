// A Node on a bench: a Kernel on a virtual clock, with one cable to each station. The test is every station: it puts bytes on
// a cable and looks at what the kernel sent to it. Stations answer ARP by themselves unless told not to.
//
//   const lab = new Lab();
//   lab.pod('a', '10.244.0.5');
//   lab.from('a', ip({ saddr: '10.244.0.5', daddr: '10.244.0.6' }, udp({ sport: 1, dport: 2 }, 'x')));
//   t.match(lab.take('b'), [...]);
import type { Test } from 'tap';
import type { NetDevice } from '../../src/kernel/core/device.ts';
import { createNetlink } from '../../src/kernel/core/netlink.ts';
import { Kernel } from '../../src/kernel/kernel.ts';
import type { Netlink } from '../../src/kernel/netlink.ts';
import { Breath } from '../../src/lib/breath.ts';
import { VirtualClock } from '../../src/lib/clock.ts';
import { SeededRng } from '../../src/lib/rng.ts';
import type { LinkReceiver } from '../../src/tcpip-ts/link.ts';
import { GSO_NONE, type Skb, SkbPool } from '../../src/tcpip-ts/skb.ts';
import { formatMac, ipv4 } from '../../src/tcpip-ts/wire/address.ts';
import { arp, ether, faults, type Parsed, parse } from './packet.ts';
import { Wire, type WireOptions } from './wire.ts';

/**
 * A subtest on a Node with two Pods, `a` and `b`, and an uplink `net`. It ends by seeing that every packet sent was sound, and
 * every skb given back.
 */
export function onNode(
  t: Test,
  name: string,
  body: (t: Test, lab: Lab) => void | Promise<void>,
  options: StationOptions & LabOptions = {},
): void {
  t.test(name, async (t) => {
    const lab = new Lab(options);
    lab.pod('a', POD_A, options);
    lab.pod('b', POD_B, options);
    lab.uplink();
    await body(t as unknown as Test, lab);
    lab.settle();
    t.same(lab.faults, [], 'every packet sent is sound');
    lab.close();
    lab.settle();
    t.equal(lab.pool.available, lab.pool.size, 'every skb is given back');
  });
}

export const POD_A = '10.244.0.5';
export const POD_B = '10.244.0.6';
export const NODE_IP = '192.168.49.2';
export const GATEWAY = '10.244.0.1';

interface Station {
  readonly name: string;
  readonly wire: Wire;
  readonly device: NetDevice;
  readonly mac: string;
  readonly addrs: readonly string[];
}

export interface StationOptions extends WireOptions {
  /** Leaves ARP requests unanswered. */
  readonly silent?: boolean;
}

export interface LabOptions {
  readonly conntrackMax?: number;
  readonly seed?: number;
}

export class Lab {
  readonly clock = new VirtualClock();
  readonly pool = new SkbPool(256);
  readonly breath = new Breath((fn) => this.clock.after(0, fn));
  readonly kernel: Kernel;
  readonly netlink: Netlink;
  /** Packets that reached the Node's own stack. */
  readonly local: Uint8Array[] = [];
  /** Frames with something wrong in them, whoever they went to; a test ends by seeing that there are none. */
  readonly faults: string[] = [];
  readonly #stations = new Map<string, Station>();

  constructor({ conntrackMax = 1024, seed = 1 }: LabOptions = {}) {
    const { clock, pool, breath } = this;
    this.kernel = new Kernel({ clock, rng: new SeededRng(seed), pool, breath, hostname: 'node-1', conntrackMax });
    this.netlink = createNetlink(this.kernel, null);
    const receiver: LinkReceiver = {
      receive: (skb: Skb) => {
        this.local.push(skb.bytes.slice(skb.nh, skb.tail));
        skb.free();
      },
    };
    this.kernel.localLink().attach(receiver);
  }

  /** A Pod as the CNI's ptp plugin connects it. */
  pod(name: string, addr: string, options: StationOptions = {}): NetDevice {
    const device = this.#station(name, [addr], options);
    this.kernel.addresses.add(device, ipv4(GATEWAY), 32);
    this.kernel.fib.add({ network: ipv4(addr), prefixLen: 32, oif: device.ifindex });
    return device;
  }

  /** The Node's uplink: NODE_IP/24, with a station for each address given; a default route by the first one. */
  uplink(name = 'net', addrs = ['192.168.49.1'], options: StationOptions = {}): NetDevice {
    const device = this.#station(name, addrs, options);
    this.kernel.addresses.add(device, ipv4(NODE_IP), 24);
    this.kernel.fib.add({ network: 0, prefixLen: 0, oif: device.ifindex, gateway: ipv4(addrs[0]!) });
    return device;
  }

  /** The station sends an IP packet to the kernel (or `frame`, complete, when it is not IP). */
  from(name: string, packet: Uint8Array, prepare?: (skb: Skb) => void): void {
    const { device, mac } = this.#stations.get(name)!;
    this.frame(name, ether(packet, { src: mac, dst: formatMac(device.mac) }), prepare);
  }

  frame(name: string, bytes: Uint8Array, prepare?: (skb: Skb) => void): void {
    this.kernel.nowUs = this.clock.nowUs();
    this.#stations.get(name)!.wire.inject('a', bytes, prepare);
    this.settle();
  }

  /** What the kernel has sent to the station since the last call: IP frames, parsed. */
  take(name: string): Parsed[] {
    return this.takeBytes(name).map((bytes) => parse(bytes));
  }

  takeBytes(name: string): Uint8Array[] {
    return this.#stations
      .get(name)!
      .wire.take('a')
      .filter((bytes) => parse(bytes).ip !== undefined);
  }

  /** Lets what is under way arrive, without time passing. */
  settle(): void {
    this.clock.advance(0);
  }

  /** The Node's stack sends an IP packet. */
  send(packet: Uint8Array, prepare?: (skb: Skb) => void): void {
    const skb = this.pool.alloc()!;
    skb.bytes.set(packet, skb.nh);
    skb.tail = skb.nh + packet.length;
    skb.th = skb.nh + 20;
    prepare?.(skb);
    this.kernel.localLink().transmit(skb);
    this.settle();
  }

  station(name: string): Station {
    return this.#stations.get(name)!;
  }

  close(): void {
    this.kernel.close();
  }

  #station(name: string, addrs: readonly string[], options: StationOptions): NetDevice {
    const wire = new Wire(this.clock, { ...options, pool: this.pool });
    const n = this.#stations.size + 1;
    const device = this.kernel.addDevice(`veth${name}`, wire.a, { mac: 0x0a5800000000 + n });
    const mac = `02:00:00:00:00:${(0x10 + n).toString(16)}`;
    const station: Station = { name, wire, device, mac, addrs };
    this.#stations.set(name, station);
    wire.b.attach({
      receive: (skb) => {
        const bytes = skb.bytes.slice(skb.mh, skb.tail);
        const partial = skb.checksum === 2 || skb.gsoType !== GSO_NONE;
        skb.free();
        const p = parse(bytes);
        if (p.arp?.op === 'request' && addrs.includes(p.arp.tpa) && !options.silent) {
          this.kernel.nowUs = this.clock.nowUs();
          wire.inject('a', arp({ op: 'reply', sha: mac, spa: p.arp.tpa, tha: p.arp.sha, tpa: p.arp.spa }));
        }
        if (!partial) for (const fault of faults(bytes)) this.faults.push(`to ${name}: ${fault}`);
      },
    });
    return device;
  }
}
