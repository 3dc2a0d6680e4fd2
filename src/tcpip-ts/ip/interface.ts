// One interface of the stack: a link, an address, and on Ethernet a MAC and ARP. Takes frames apart on the way in, puts them
// together on the way out. After Linux's net_device with its in_device, eth_type_trans() and ip_finish_output2().
// Leaves out VLAN tags, IEEE 802.3 length frames, several addresses on one interface.
import type { Clock } from '../../lib/clock.ts';
import type { Rng } from '../../lib/rng.ts';
import { Arp } from '../arp/arp.ts';
import type { Counters } from '../counters.ts';
import type { Link, LinkReceiver } from '../link.ts';
import type { Skb, SkbPool } from '../skb.ts';
import { type IpAddress, type Mac, netmask } from '../wire/address.ts';
import {
  ETH_HLEN,
  ETH_P_ARP,
  ETH_P_IP,
  emitEthernet,
  ethDst,
  ethSrc,
  ethType,
  isGroupMac,
  MAC_BROADCAST,
} from '../wire/ethernet.ts';

const MULTICAST_MAC = 0x01005e000000; // RFC 1112 6.4: and the low 23 bits of the group

export interface InterfaceOptions {
  /** Ethernet only; a random locally administered one by default. */
  readonly mac?: Mac;
  readonly addr: IpAddress;
  readonly prefixLen: number;
  /** Accept packets to every destination, and answer from it: what hangs behind the link decides what is local. */
  readonly anyAddress?: boolean;
  /** Send a gratuitous ARP at once. */
  readonly announce?: boolean;
}

export interface InterfaceEnv {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly pool: SkbPool;
  readonly counters: Counters;
  /** Takes ownership of an IP packet at skb.nh; `group`: the frame went to more than one station. */
  readonly input: (skb: Skb, iface: Interface, group: boolean) => void;
  /** Takes ownership of a packet of ours whose next hop did not answer. */
  readonly unreachable: (skb: Skb) => void;
}

export class Interface implements LinkReceiver {
  readonly ifIndex: number;
  readonly link: Link;
  readonly mac: Mac;
  readonly addr: IpAddress;
  readonly prefixLen: number;
  readonly anyAddress: boolean;
  /** Null on an 'ip' link. */
  readonly arp: Arp | null;
  /** Frames that were not for this station, or neither IPv4 nor ARP. */
  rxDropped = 0;
  readonly #input: (skb: Skb, iface: Interface, group: boolean) => void;
  #closed = false;

  constructor(env: InterfaceEnv, ifIndex: number, link: Link, options: InterfaceOptions) {
    const mac = options.mac ?? randomMac(env.rng);
    this.ifIndex = ifIndex;
    this.link = link;
    this.mac = mac;
    this.addr = options.addr;
    this.prefixLen = options.prefixLen;
    this.anyAddress = options.anyAddress ?? false;
    this.#input = env.input;
    const { clock, rng, pool, counters, unreachable } = env;
    this.arp =
      link.kind === 'ether'
        ? new Arp({ clock, rng, pool, counters, link, mac, addr: options.addr, unreachable })
        : null;
    link.attach(this);
  }

  /** The subnet's broadcast address, or undefined where there is none (RFC 3021). */
  get broadcast(): number | undefined {
    return this.prefixLen > 30 ? undefined : (this.addr | ~netmask(this.prefixLen)) >>> 0;
  }

  receive(skb: Skb): void {
    if (this.#closed) {
      skb.free();
      return;
    }
    skb.iif = this.ifIndex;
    skb.oif = 0;
    skb.mark = 0;
    skb.ct = 0;
    skb.ctinfo = 0;
    skb.next = null;
    if (this.arp === null) {
      this.#input(skb, this, false);
      return;
    }
    const b = skb.bytes;
    const o = skb.mh;
    const group = skb.tail - o >= ETH_HLEN && isGroupMac(b, o);
    // Too short, for another station, or our own frame come back.
    if (skb.tail - o < ETH_HLEN || (!group && ethDst(b, o) !== this.mac) || ethSrc(b, o) === this.mac) {
      this.#drop(skb);
      return;
    }
    skb.nh = o + ETH_HLEN;
    const type = ethType(b, o);
    if (type === ETH_P_IP) this.#input(skb, this, group);
    else if (type === ETH_P_ARP) this.arp.input(skb);
    else this.#drop(skb);
  }

  /** Sends the IP packet at skb.nh to the neighbour skb.nexthop, or with `broadcast` to all of them; owns `skb`. */
  output(skb: Skb, broadcast: boolean): void {
    if (this.#closed) {
      skb.free();
      return;
    }
    const arp = this.arp;
    if (arp === null) {
      skb.mh = skb.nh;
      this.link.transmit(skb);
    } else if (broadcast) this.#outputTo(skb, MAC_BROADCAST);
    else if (skb.nexthop >>> 28 === 14) this.#outputTo(skb, MULTICAST_MAC + (skb.nexthop & 0x7fffff));
    else arp.output(skb);
  }

  close(): void {
    this.#closed = true;
    this.arp?.close();
  }

  #outputTo(skb: Skb, dst: Mac): void {
    skb.mh = skb.nh - ETH_HLEN;
    emitEthernet(skb.bytes, skb.mh, dst, this.mac, ETH_P_IP);
    this.link.transmit(skb);
  }

  #drop(skb: Skb): void {
    this.rxDropped++;
    skb.free();
  }
}

/** Locally administered, unicast. */
function randomMac(rng: Rng): Mac {
  return 0x020000000000 + rng.below(0x10000) * 0x1000000 + rng.below(0x1000000);
}
