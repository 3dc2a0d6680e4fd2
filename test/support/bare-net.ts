// A Net of nothing but hooks, a routing table and a connection table, for tests of IPVS alone: LOCAL_IN for packets to local
// addresses, FORWARD for others, and a list of what leaves. No iptables, no conntrack of packets, no devices.
import type { Net } from '../../src/kernel/core/context.ts';
import { Devices } from '../../src/kernel/core/device.ts';
import { Drops } from '../../src/kernel/core/drop-reason.ts';
import { TracePoints } from '../../src/kernel/core/trace.ts';
import { Fib, RTN_LOCAL } from '../../src/kernel/ip/fib.ts';
import { Ipvs } from '../../src/kernel/ipvs/ipvs.ts';
import { Conntrack } from '../../src/kernel/netfilter/conntrack/conntrack.ts';
import {
  type HookNumber,
  NetfilterHooks,
  NF_ACCEPT,
  NF_DROP,
  NF_INET_FORWARD,
  NF_INET_LOCAL_IN,
  NF_INET_LOCAL_OUT,
  NF_INET_POST_ROUTING,
} from '../../src/kernel/netfilter/hooks.ts';
import { VirtualClock } from '../../src/lib/clock.ts';
import { SeededRng } from '../../src/lib/rng.ts';
import { type Skb, SkbPool } from '../../src/tcpip-ts/skb.ts';
import { ipv4 } from '../../src/tcpip-ts/wire/address.ts';
import { get32 } from '../../src/tcpip-ts/wire/bytes.ts';
import type { Outcome, ReplayWorld } from './ipvs-replay.ts';
import { icmp, ip, type Parsed, parse } from './packet.ts';

export class BareNet implements Net, ReplayWorld {
  readonly clock = new VirtualClock();
  readonly rng = new SeededRng(1);
  readonly pool: SkbPool;
  readonly trace = new TracePoints();
  readonly drops = new Drops(this.trace);
  readonly devices = new Devices({ receive: (skb) => skb.free() });
  readonly fib = new Fib();
  readonly hooks = new NetfilterHooks();
  readonly conntrack: Conntrack;
  readonly ipvs: Ipvs;
  nowUs = 0;
  #sent: Parsed[] = [];
  #local: Parsed[] = [];

  constructor({ vips = [], poolSize = 4 }: { vips?: readonly string[]; poolSize?: number } = {}) {
    this.pool = new SkbPool(poolSize);
    this.conntrack = new Conntrack(this, this.rng, 256);
    this.devices.add('lo', null, { kind: 'loopback', mtu: 65536 });
    this.devices.add('t0', null, { kind: 'ip' });
    this.fib.add({ network: 0, prefixLen: 0, oif: 2 });
    for (const vip of ['192.0.2.1', ...vips])
      this.fib.add({ network: ipv4(vip), prefixLen: 32, type: RTN_LOCAL, oif: 1 });
    this.ipvs = new Ipvs(this);
  }

  inject(packet: Uint8Array): Outcome {
    this.#sent = [];
    this.#local = [];
    const skb = this.skb(packet);
    skb.iif = 2;
    this.nowUs = this.clock.nowUs();
    if (this.fib.isLocal(get32(skb.bytes, skb.nh + 16))) {
      if (this.#pass(NF_INET_LOCAL_IN, skb)) this.#deliver(skb);
    } else if (this.#pass(NF_INET_FORWARD, skb)) {
      this.output(skb);
    }
    return { sent: this.#sent, local: this.#local };
  }

  /** As a local socket sends. */
  send(packet: Uint8Array): Outcome {
    this.#sent = [];
    this.#local = [];
    this.nowUs = this.clock.nowUs();
    this.localOut(this.skb(packet));
    return { sent: this.#sent, local: this.#local };
  }

  skb(packet: Uint8Array): Skb {
    const skb = this.pool.alloc()!;
    skb.bytes.set(packet, skb.nh);
    skb.th = skb.nh + (packet[0]! & 15) * 4;
    skb.tail = skb.nh + packet.length;
    return skb;
  }

  advance(us: number): void {
    this.clock.advance(us);
    this.nowUs = this.clock.nowUs();
  }

  localOut(skb: Skb): void {
    if (!this.#pass(NF_INET_LOCAL_OUT, skb)) return;
    this.output(skb);
  }

  output(skb: Skb): void {
    if (!this.#pass(NF_INET_POST_ROUTING, skb)) return;
    if (this.fib.isLocal(get32(skb.bytes, skb.nh + 16))) {
      if (this.#pass(NF_INET_LOCAL_IN, skb)) this.#deliver(skb);
      return;
    }
    this.#sent.push(read(skb));
    skb.free();
  }

  icmpSend(skb: Skb, type: number, code: number, info: number): void {
    const about = read(skb);
    const quoted = skb.bytes.slice(skb.nh, Math.min(skb.tail, skb.nh + 68));
    const error = ip({ saddr: '192.0.2.1', daddr: about.ip!.saddr }, icmp({ type, code, seq: info }, quoted));
    this.#sent.push(parse(error, 'ip'));
  }

  close(): void {
    this.ipvs.close();
  }

  #deliver(skb: Skb): void {
    this.#local.push(read(skb));
    skb.free();
  }

  #pass(hook: HookNumber, skb: Skb): boolean {
    const verdict = this.hooks.run(hook, skb);
    if (verdict === NF_DROP) skb.free();
    return verdict === NF_ACCEPT;
  }
}

function read(skb: Skb): Parsed {
  return parse(skb.bytes.slice(skb.nh, skb.tail), 'ip');
}
