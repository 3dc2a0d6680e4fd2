// The same minimal forwarder as native/bench/tap-loop.c, in JavaScript over src/link: what the TAP path alone can do, and so
// what the emulated kernel costs on top of it. A worker thread; started with WireConfig, says 'ready', ends when terminated.
import { parentPort, workerData } from 'node:worker_threads';
import { Breath } from '../../src/lib/breath.ts';
import { loadNative, nativeMissing } from '../../src/link/native.ts';
import { type TapLink, TapSet } from '../../src/link/tap.ts';
import type { LinkReceiver } from '../../src/tcpip-ts/link.ts';
import { CHECKSUM_PARTIAL, type Skb, SkbPool } from '../../src/tcpip-ts/skb.ts';
import { ipv4 } from '../../src/tcpip-ts/wire/address.ts';
import { get16, get32, put32 } from '../../src/tcpip-ts/wire/bytes.ts';
import { update32, updatePartial32 } from '../../src/tcpip-ts/wire/checksum.ts';
import { ETH_P_ARP, ETH_P_IP, ethType, putMac } from '../../src/tcpip-ts/wire/ethernet.ts';
import { decrementTtl, IPPROTO_TCP, ipDaddr, ipHlen, ipProto, ipSaddr } from '../../src/tcpip-ts/wire/ipv4.ts';
import type { WireConfig } from './contender.ts';

const GATEWAY_MAC = 0x020000000001;

class Forwarder implements LinkReceiver {
  readonly link: TapLink;
  other: Forwarder | null = null;
  /** The address to replace, where it stands in the IP header, and what by. */
  readonly at: number;
  readonly was: number;
  readonly is: number;

  constructor(link: TapLink, at: number, was: number, is: number) {
    this.link = link;
    this.at = at;
    this.was = was;
    this.is = is;
    link.attach(this);
  }

  receive(skb: Skb): void {
    const b = skb.bytes;
    const type = ethType(b, skb.mh);
    const found = this.at === 16 ? ipDaddr(b, skb.nh) : ipSaddr(b, skb.nh);
    if (type === ETH_P_ARP && b[skb.nh + 7] === 1) this.answerArp(skb);
    else if (type === ETH_P_IP && found === this.was && this.other !== null) this.forward(skb, this.other.link);
    else skb.free();
  }

  forward(skb: Skb, to: TapLink): void {
    const b = skb.bytes;
    this.translate(skb);
    decrementTtl(b, skb.nh);
    putMac(b, skb.mh, to.mac);
    putMac(b, skb.mh + 6, GATEWAY_MAC);
    to.transmit(skb);
  }

  translate(skb: Skb): void {
    const b = skb.bytes;
    put32(b, skb.nh + this.at, this.is);
    update32(b, skb.nh + 10, this.was, this.is);
    const th = skb.nh + ipHlen(b, skb.nh);
    const isTcp = ipProto(b, skb.nh) === IPPROTO_TCP;
    const field = th + (isTcp ? 16 : 6);
    if (skb.checksum === CHECKSUM_PARTIAL) updatePartial32(b, field, this.was, this.is);
    else if (isTcp || get16(b, field) !== 0) update32(b, field, this.was, this.is);
  }

  answerArp(skb: Skb): void {
    const b = skb.bytes;
    const arp = skb.nh;
    const wanted = get32(b, arp + 24);
    b.copyWithin(skb.mh, skb.mh + 6, skb.mh + 12);
    putMac(b, skb.mh + 6, GATEWAY_MAC);
    b[arp + 7] = 2;
    b.copyWithin(arp + 18, arp + 8, arp + 18);
    putMac(b, arp + 8, GATEWAY_MAC);
    put32(b, arp + 14, wanted);
    this.link.transmit(skb);
  }
}

function start(config: WireConfig): void {
  const native = loadNative();
  if (!native) throw new Error(nativeMissing());
  const breath = new Breath();
  const set = new TapSet(native, new SkbPool(), breath);
  const open = (netns: string): TapLink =>
    set.open({ netnsPath: `/run/netns/${netns}`, ifname: 'eth0', mtu: config.mtu, offload: config.offload });
  const client = new Forwarder(open(config.clientNetns), 16, ipv4(config.vip), ipv4(config.serverAddr));
  const server = new Forwarder(open(config.serverNetns), 12, ipv4(config.serverAddr), ipv4(config.vip));
  client.other = server;
  server.other = client;
}

start(workerData as WireConfig);
parentPort?.postMessage('ready');
