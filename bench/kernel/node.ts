// A Node for bench kernel and bench proxies, in process and with nothing outside: the emulated kernel, kube-proxy's own rules of a
// mode for N Services, two Pods on Ethernet links that are a function call long, a virtual clock. A packet costs what the kernel
// costs, and the copy of its 64 bytes into a pool slot, which stands for the TAP's read.
import type { Service } from '../../src/api/core-v1.ts';
import { createNetlink } from '../../src/kernel/core/netlink.ts';
import { Ipvs } from '../../src/kernel/ipvs/ipvs.ts';
import { Kernel } from '../../src/kernel/kernel.ts';
import { Breath } from '../../src/lib/breath.ts';
import { VirtualClock } from '../../src/lib/clock.ts';
import { SeededRng } from '../../src/lib/rng.ts';
import { DEFAULT_CONFIG, type ProxyMode } from '../../src/proxy/config.ts';
import type { Endpoint } from '../../src/proxy/endpoints.ts';
import type { Proxier } from '../../src/proxy/proxier.ts';
import { createProxier } from '../../src/proxy/proxiers.ts';
import { type ServicePort, servicePortsOf } from '../../src/proxy/service-port.ts';
import { SKB_HEADROOM, SkbPool } from '../../src/tcpip-ts/skb.ts';
import { formatIPv4, type Mac, parseCIDR } from '../../src/tcpip-ts/wire/address.ts';
import { ARPOP_REPLY, emitArp } from '../../src/tcpip-ts/wire/arp.ts';
import { put16, put32 } from '../../src/tcpip-ts/wire/bytes.ts';
import { checksum, finish, pseudoSum, sumBytes } from '../../src/tcpip-ts/wire/checksum.ts';
import { ETH_HLEN, ETH_P_ARP, ETH_P_IP, emitEthernet } from '../../src/tcpip-ts/wire/ethernet.ts';
import { emitIPv4, IP_DF, IPPROTO_TCP, IPPROTO_UDP } from '../../src/tcpip-ts/wire/ipv4.ts';
import { SinkLink } from '../../test/support/sink-link.ts';

export const PORT = 80;
const TARGET_PORT = 8080;
const NODE_NAME = 'bench';
const DEVICE_MAC = 0x0a_58_00_00_00_01;
const POD_MACS: readonly [Mac, Mac] = [0x02_00_00_00_00_0a, 0x02_00_00_00_00_0b];
const FRAME_LEN = 64;
const OTHERS_PREFIX_LEN = 16;
const OTHERS_COUNT = 2 ** (32 - OTHERS_PREFIX_LEN);

/** Where a network lies: V8 keeps integers above 2^30 or 2^31 otherwise than smaller ones, so both kinds are measured. */
export interface Addresses {
  readonly client: number;
  readonly server: number;
  readonly gateway: number;
  /** ClusterIPs count up from here. */
  readonly services: number;
  /** Endpoints beyond the server. */
  readonly others: number;
  readonly podCIDR: string;
}

export const LOW: Addresses = {
  client: 0x0af40005,
  server: 0x0af40006,
  gateway: 0x0af40001,
  services: 0x0a600001,
  others: 0x0af50000,
  podCIDR: '10.244.0.0/16',
};
export const HIGH: Addresses = {
  client: 0xc0a80005,
  server: 0xc0a80006,
  gateway: 0xc0a80001,
  services: 0xac140001,
  others: 0xc0a90000,
  podCIDR: '192.168.0.0/16',
};

export interface BenchNodeOptions {
  readonly services: number;
  readonly proto: number;
  /** LOW when left out. */
  readonly addresses?: Addresses;
  /** ipvs when left out. */
  readonly mode?: ProxyMode;
  /** Of each Service, 1 when left out: the server Pod, and others that are reached through it. */
  readonly endpoints?: number;
}

export class BenchNode {
  readonly services: number;
  readonly kernel: Kernel;
  readonly ipvs: Ipvs;
  readonly addresses: Addresses;
  /** How long kube-proxy's first sync took. */
  readonly syncMs: number;
  readonly #options: BenchNodeOptions;
  readonly #clock = new VirtualClock();
  readonly #pool = new SkbPool(64);
  readonly #links = [new SinkLink(), new SinkLink()] as const;
  readonly #proxier: Proxier;
  readonly #ports = new Map<string, ServicePort>();
  readonly #endpoints = new Map<string, Endpoint[]>();

  constructor(options: BenchNodeOptions) {
    const { services, proto, addresses = LOW, mode = 'ipvs' } = options;
    this.#options = options;
    this.services = services;
    this.addresses = addresses;
    this.kernel = new Kernel({
      clock: this.#clock,
      rng: new SeededRng(1),
      pool: this.#pool,
      breath: new Breath(() => {}),
      hostname: NODE_NAME,
    });
    this.ipvs = new Ipvs(this.kernel);
    [addresses.client, addresses.server].forEach((addr, i) => {
      const device = this.kernel.addDevice(`veth${i}`, this.#links[i]!, { mac: DEVICE_MAC + i });
      this.kernel.addresses.add(device, addresses.gateway, 32);
      this.kernel.fib.add({ network: addr, prefixLen: 32, oif: device.ifindex });
    });
    const behind = { network: addresses.others, prefixLen: OTHERS_PREFIX_LEN, gateway: addresses.server };
    this.kernel.fib.add({ ...behind, oif: this.kernel.devices.byName('veth1')!.ifindex });
    this.#proxier = createProxier({
      netlink: createNetlink(this.kernel, this.ipvs),
      clock: this.#clock,
      nodeName: NODE_NAME,
      config: { ...DEFAULT_CONFIG, mode },
    });
    this.#proxier.prepare();
    for (let i = 0; i < services; i++) {
      for (const [key, port] of servicePortsOf(service(nameOf(i), formatIPv4(this.serviceAddr(i)), proto))) {
        this.#ports.set(key, port);
        this.#endpoints.set(key, this.#endpointsOf(i, 0));
      }
    }
    const start = performance.now();
    this.#sync(this.#ports.keys());
    this.syncMs = performance.now() - start;
  }

  /** Puts another endpoint in the place of a Service's last one; how long the sync took, in milliseconds. */
  change(i: number, to: number): number {
    const [key] = servicePortsOf(service(nameOf(i), formatIPv4(this.serviceAddr(i)), this.#options.proto)).keys();
    this.#endpoints.set(key!, this.#endpointsOf(i, to));
    const start = performance.now();
    this.#sync([key!]);
    return performance.now() - start;
  }

  get sent(): number {
    return this.#links[0].sent + this.#links[1].sent;
  }

  /** Takes a frame of the client (0) or the server (1) in. */
  put(from: 0 | 1, frame: Uint8Array): void {
    const skb = this.#pool.alloc()!;
    skb.bytes.set(frame, SKB_HEADROOM);
    skb.tail = SKB_HEADROOM + frame.length;
    this.#links[from].receiver!.receive(skb);
  }

  /** Lets both Pods tell their MACs, unasked for as far as they are concerned. */
  resolve(): void {
    const { client, server, gateway } = this.addresses;
    [client, server].forEach((addr, i) => {
      const frame = new Uint8Array(FRAME_LEN);
      const mac = DEVICE_MAC + i;
      emitEthernet(frame, 0, mac, POD_MACS[i as 0 | 1], ETH_P_ARP);
      emitArp(frame, ETH_HLEN, ARPOP_REPLY, POD_MACS[i as 0 | 1], addr, mac, gateway);
      this.put(i as 0 | 1, frame);
    });
  }

  /** Moves the time on; connections of before expire, and time-outs of the tables are worked off. */
  advance(seconds: number): void {
    for (let i = 0; i < seconds; i++) {
      this.#clock.advance(1e6);
      this.kernel.poll(64);
    }
  }

  serviceAddr(i: number): number {
    return this.addresses.services + (i % this.services);
  }

  request(proto: number, sport: number, service: number, flags: number, payload: number): Uint8Array {
    const { client } = this.addresses;
    return frameOf(0, proto, client, sport, this.serviceAddr(service), PORT, flags, payload);
  }

  answer(proto: number, dport: number, flags: number, payload: number): Uint8Array {
    const { client, server } = this.addresses;
    return frameOf(1, proto, server, TARGET_PORT, client, dport, flags, payload);
  }

  close(): void {
    this.#proxier.close();
    this.ipvs.close();
    this.kernel.close();
  }

  #sync(changed: Iterable<string>): void {
    this.#proxier.sync({
      ports: this.#ports,
      endpoints: this.#endpoints,
      changed,
      zone: '',
      nodeIP: undefined,
      local: { kind: 'cidr', cidr: parseCIDR(this.addresses.podCIDR)! },
      serviceCIDRs: [],
    });
  }

  /** The server Pod first, if there is one only; the last one is number `last` of the others. */
  #endpointsOf(service: number, last: number): Endpoint[] {
    const { endpoints: count = 1 } = this.#options;
    const { server, others } = this.addresses;
    return Array.from({ length: count }, (_, k) => {
      if (k === 0 && last === 0) return endpointAt(server);
      const number = k === count - 1 ? last : service * count + k;
      return endpointAt(others + (number % OTHERS_COUNT));
    });
  }
}

function nameOf(i: number): string {
  return `s${i}`;
}

function endpointAt(addr: number): Endpoint {
  const state = { ready: true, serving: true, terminating: false };
  return { addr, port: TARGET_PORT, ...state, local: addr % 2 === 0, zoneHints: [], nodeHints: [] };
}

function service(name: string, clusterIP: string, proto: number): Service {
  const protocol = proto === IPPROTO_UDP ? 'UDP' : 'TCP';
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'default' },
    spec: { type: 'ClusterIP', clusterIP, ports: [{ name: 'p', port: PORT, protocol, targetPort: TARGET_PORT }] },
  } as Service; // the rest of an object from the API matters to nobody here
}

/** An Ethernet frame with an IPv4 packet, its checksums right: TCP with timestamps left out, or UDP. */
function frameOf(
  from: 0 | 1,
  proto: number,
  saddr: number,
  sport: number,
  daddr: number,
  dport: number,
  flags: number,
  payload: number,
): Uint8Array {
  const hlen = proto === IPPROTO_TCP ? 20 : 8;
  const frame = new Uint8Array(ETH_HLEN + 20 + hlen + payload);
  const th = ETH_HLEN + 20;
  emitEthernet(frame, 0, DEVICE_MAC + from, POD_MACS[from], ETH_P_IP);
  emitIPv4(frame, ETH_HLEN, 0, frame.length - ETH_HLEN, 1, IP_DF, 64, proto, saddr, daddr);
  put16(frame, th, sport);
  put16(frame, th + 2, dport);
  if (proto === IPPROTO_TCP) {
    put32(frame, th + 4, 1000);
    put32(frame, th + 8, (flags & 0x10) !== 0 ? 1000 : 0);
    frame[th + 12] = 5 << 4;
    frame[th + 13] = flags;
    put16(frame, th + 14, 64240);
  } else put16(frame, th + 4, hlen + payload);
  const sum = pseudoSum(saddr, daddr, proto, hlen + payload);
  put16(frame, th + (proto === IPPROTO_TCP ? 16 : 6), finish(sumBytes(frame, th, frame.length, sum)));
  if (checksum(frame, ETH_HLEN, th) !== 0) throw new Error('a frame with a wrong checksum');
  return frame;
}
