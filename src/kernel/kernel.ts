// The emulated Node kernel: its parts put together, and the doors: devices in, netlink beside, the Node's own stack on top.
// Emulates the IPv4 path of Linux 6.6 from netif_receive_skb() to dev_queue_xmit(); sysctls as kube-proxy and a CNI leave
// them: ip_forward 1, rp_filter 0, arp_ignore 1.
//
//   device.receive ─▶ ethernet ─▶ ARP
//                        └─▶ ip/input ─▶ PRE_ROUTING ─▶ fib ─▶ LOCAL_IN ─▶ localLink ─▶ stack
//                                                        └─▶ ip/forward ─▶ FORWARD ─▶ POST_ROUTING ─▶ neighbours ─▶ device
//   stack ─▶ localLink ─▶ fib ─▶ LOCAL_OUT ──────────────────────────────────────────▶ POST_ROUTING ─▶ neighbours ─▶ device
//
// One thread, run by the breath: packets come in by Pollables, `nowUs` is read once a turn. The kernel is the first of them,
// wherever in the program it is made. Leaves out: IPv6, traffic control, bridges, sockets of its own.
import type { Breath, Pollable } from '../lib/breath.ts';
import type { Clock } from '../lib/clock.ts';
import type { Rng } from '../lib/rng.ts';
import { Counters } from '../tcpip-ts/counters.ts';
import { Reassembly } from '../tcpip-ts/ip/reassembly.ts';
import type { Link } from '../tcpip-ts/link.ts';
import type { Skb, SkbPool } from '../tcpip-ts/skb.ts';
import { ETH_HLEN, ETH_P_ARP, ETH_P_IP, ethType, isGroupMac } from '../tcpip-ts/wire/ethernet.ts';
import {
  ICMP_DEST_UNREACH,
  ICMP_EXC_FRAGTIME,
  ICMP_HOST_UNREACH,
  ICMP_TIME_EXCEEDED,
} from '../tcpip-ts/wire/icmpv4.ts';
import type { Net, VirtualServers } from './core/context.ts';
import { type DeviceInput, type DeviceOptions, Devices, type NetDevice } from './core/device.ts';
import { DropReason } from './core/drop-reason.ts';
import { Drops } from './core/drops.ts';
import { LoopbackLink } from './core/loopback.ts';
import { Neighbours } from './core/neighbours.ts';
import { TracePoints } from './core/trace.ts';
import { Addresses } from './ip/addresses.ts';
import { IPCB_GROUP } from './ip/control-block.ts';
import { Fib } from './ip/fib.ts';
import { IcmpErrors } from './ip/icmp.ts';
import { IpInput } from './ip/input.ts';
import { LocalLink } from './ip/local-link.ts';
import { IpOutput } from './ip/output.ts';
import { Conntrack } from './netfilter/conntrack/conntrack.ts';
import { ConntrackTracker } from './netfilter/conntrack/track.ts';
import { NetfilterHooks } from './netfilter/hooks.ts';
import { IpSets } from './netfilter/ipset/ipset.ts';
import { Iptables } from './netfilter/iptables/iptables.ts';
import { Targets } from './netfilter/iptables/targets.ts';
import { Nat } from './netfilter/nat/nat.ts';
import { Nftables } from './netfilter/nftables/nftables.ts';

export interface KernelEnv {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly pool: SkbPool;
  readonly breath: Breath;
  readonly hostname: string;
  /** Connections at most (nf_conntrack_max). */
  readonly conntrackMax?: number;
  /** Of the Node's own stack's link. */
  readonly localMtu?: number;
  /** False: ICMP errors are sent without limit (sysctls icmp_ratemask 0, icmp_msgs_per_sec large). */
  readonly limitsIcmp?: boolean;
  /** Whether packets may come in with an address of this host as their source (sysctl accept_local; 0 unless said). */
  readonly acceptsLocal?: boolean;
}

export class Kernel implements Net, DeviceInput, Pollable {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly pool: SkbPool;
  readonly hostname: string;
  readonly devices: Devices;
  readonly fib = new Fib();
  readonly hooks = new NetfilterHooks();
  readonly trace = new TracePoints();
  readonly drops: Drops;
  readonly conntrack: Conntrack;
  readonly virtualServers: VirtualServers = { isRequestTo: null };
  readonly addresses: Addresses;
  readonly neighbours: Neighbours;
  readonly nat: Nat;
  readonly ipset = new IpSets();
  readonly iptables: Iptables;
  readonly nftables: Nftables;
  /** Of reassembly and ARP. */
  readonly counters = new Counters();
  nowUs: number;

  readonly #breath: Breath;
  readonly #loopback: LoopbackLink;
  readonly #tracker: ConntrackTracker;
  readonly #reassembly: Reassembly;
  readonly #input: IpInput;
  readonly #output: IpOutput;
  readonly #icmp: IcmpErrors;
  readonly #localLink: LocalLink;

  constructor({
    clock,
    rng,
    pool,
    breath,
    hostname,
    conntrackMax,
    localMtu = 1500,
    limitsIcmp = true,
    acceptsLocal = false,
  }: KernelEnv) {
    this.clock = clock;
    this.rng = rng;
    this.pool = pool;
    this.hostname = hostname;
    this.nowUs = clock.nowUs();
    this.#breath = breath;
    this.drops = new Drops(this.trace);
    this.devices = new Devices(this);
    this.conntrack = new Conntrack(this, rng, conntrackMax);
    this.addresses = new Addresses(this.fib, this.devices);
    const { counters, drops, addresses } = this;
    const unreachable = (skb: Skb): void => this.#unreachable(skb);
    this.neighbours = new Neighbours({ clock, rng, pool, counters, drops, addresses, unreachable });
    this.#reassembly = new Reassembly(clock, pool, counters, (skb) => this.#incomplete(skb));
    this.#output = new IpOutput(this, this.neighbours, this.#reassembly);
    this.#input = new IpInput(this, this.#output, this.#reassembly, acceptsLocal);
    this.#icmp = new IcmpErrors(this, addresses, limitsIcmp ? clock : null);
    this.#localLink = new LocalLink(this.#input, localMtu, (skb) => this.#sendLocal(skb));

    this.#tracker = new ConntrackTracker(this.conntrack, clock, this);
    this.#tracker.register(this.hooks);
    this.nat = new Nat(this.conntrack, rng, this.trace);
    this.nat.register(this.hooks);
    const actions = new Targets(this, this.nat, addresses);
    this.iptables = new Iptables({
      fib: this.fib,
      sets: this.ipset,
      rng,
      conntrack: this.conntrack,
      virtualServers: this.virtualServers,
      time: this,
      hooks: this.hooks,
      nat: this.nat,
      devices: this.devices,
      trace: this.trace,
      actions,
      clock,
    });
    const { fib, hooks, nat, devices, trace } = this;
    this.nftables = new Nftables({ fib, rng, devices, actions, net: this, hooks, nat, trace });

    this.#loopback = new LoopbackLink(breath, this.conntrack, drops);
    breath.addFirst(this);
    const lo = this.addDevice('lo', this.#loopback, { kind: 'loopback' });
    this.addresses.add(lo, 0x7f000001, 8);
  }

  /** Makes a device over `link`, or one without (addresses on it are local, nothing passes). An Ethernet one needs a mac. */
  addDevice(name: string, link: Link | null, options: DeviceOptions): NetDevice {
    const device = this.devices.add(name, link, options);
    this.drops.register(device.ifindex);
    this.neighbours.add(device);
    return device;
  }

  /** Takes a device out with its addresses, routes and neighbours; its link is the caller's to close. */
  removeDevice(device: NetDevice): void {
    if (this.devices.byIndex(device.ifindex) !== device) return;
    this.addresses.removeDevice(device);
    this.fib.removeDevice(device.ifindex);
    this.neighbours.remove(device);
    this.devices.remove(device);
    this.drops.unregister(device.ifindex);
  }

  /** The kernel's end of the Node's own stack. */
  localLink(): Link {
    return this.#localLink;
  }

  // As seen from devices.

  receive(skb: Skb, device: NetDevice): void {
    skb.cb0 = 0;
    skb.oif = 0;
    if (device.kind !== 'loopback') {
      skb.mark = 0;
      skb.ct = 0;
      skb.ctinfo = 0;
      skb.ipvs = false;
    }
    const pass = this.conntrack.beginPass();
    if (device.kind === 'ether') this.#receiveEthernet(skb, device);
    else this.#input.receive(skb);
    this.conntrack.endPass(pass);
  }

  #receiveEthernet(skb: Skb, device: NetDevice): void {
    const b = skb.bytes;
    const { mh } = skb;
    if (skb.tail - mh < ETH_HLEN) {
      this.drops.drop(skb, DropReason.DEV_HDR);
      return;
    }
    skb.nh = mh + ETH_HLEN;
    if (isGroupMac(b, mh)) skb.cb0 = IPCB_GROUP;
    else if (!device.isMac(b, mh)) {
      this.drops.drop(skb, DropReason.OTHERHOST);
      return;
    }
    switch (ethType(b, mh)) {
      case ETH_P_IP:
        this.#input.receive(skb);
        return;
      case ETH_P_ARP:
        this.neighbours.input(skb, device);
        return;
      default:
        this.drops.drop(skb, DropReason.UNHANDLED_PROTO);
    }
  }

  // Net.

  localOut(skb: Skb): void {
    this.#output.localOut(skb);
  }

  output(skb: Skb): void {
    this.#output.output(skb);
  }

  icmpSend(skb: Skb, type: number, code: number, info: number): void {
    this.#icmp.send(skb, type, code, info);
  }

  // In the breath.

  poll(budget: number): number {
    this.nowUs = this.clock.nowUs();
    return this.#loopback.poll(budget);
  }

  flush(): void {}

  /** Frees what is queued and stops the timers. Closing twice is fine. */
  close(): void {
    this.#breath.remove(this);
    this.#localLink.close();
    this.#loopback.close();
    this.neighbours.close();
    this.#reassembly.close();
    this.#tracker.close();
  }

  /** From the Node's stack, in or out of the breath: its timers and sockets keep their own time. */
  #sendLocal(skb: Skb): void {
    this.nowUs = this.clock.nowUs();
    skb.scrub();
    this.#output.localOut(skb);
  }

  /** The start of a datagram whose rest never came; borrows `skb`. */
  #incomplete(skb: Skb): void {
    this.nowUs = this.clock.nowUs();
    this.drops.tally(skb.iif, DropReason.FRAG_REASM_TIMEOUT);
    this.icmpSend(skb, ICMP_TIME_EXCEEDED, ICMP_EXC_FRAGTIME, 0);
  }

  /** The next hop of `skb` did not answer. */
  #unreachable(skb: Skb): void {
    this.nowUs = this.clock.nowUs();
    skb.ct = 0; // it may be long gone: let the error find its connection by what it quotes
    this.icmpSend(skb, ICMP_DEST_UNREACH, ICMP_HOST_UNREACH, 0);
    this.drops.drop(skb, DropReason.NEIGH_FAILED);
  }
}
