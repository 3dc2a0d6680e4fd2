// The oracle's topology on the emulated Kernel: one bare-IP device is all the outside world and the default route, VIPs sit on
// a dummy kube-ipvs0, and kube-proxy-like NAT rules are loaded, so that conntrack is at work.
import { createNetlink } from '../../src/kernel/core/netlink.ts';
import { Ipvs } from '../../src/kernel/ipvs/ipvs.ts';
import { Kernel } from '../../src/kernel/kernel.ts';
import { IP_CT_UNTRACKED } from '../../src/kernel/netfilter/conntrack/ctinfo.ts';
import {
  NF_ACCEPT,
  NF_INET_LOCAL_OUT,
  NF_INET_PRE_ROUTING,
  NF_IP_PRI_RAW,
  type Verdict,
} from '../../src/kernel/netfilter/hooks.ts';
import type { IptablesRestoreOp } from '../../src/kernel/netlink.ts';
import { Breath } from '../../src/lib/breath.ts';
import { VirtualClock } from '../../src/lib/clock.ts';
import { SeededRng } from '../../src/lib/rng.ts';
import type { Link, LinkReceiver } from '../../src/tcpip-ts/link.ts';
import { type Skb, SkbPool } from '../../src/tcpip-ts/skb.ts';
import { ipv4 } from '../../src/tcpip-ts/wire/address.ts';
import { ICMP_DEST_UNREACH, ICMP_PORT_UNREACH } from '../../src/tcpip-ts/wire/icmpv4.ts';
import { IPV4_HLEN } from '../../src/tcpip-ts/wire/ipv4.ts';
import type { ReplayWorld, WorldOptions } from './ipvs-replay.ts';
import { faults, ip, type Parsed, parse, tcp } from './packet.ts';

/** Slots of 64 KiB are costly to make: one pool serves all worlds, one after another. */
const pool = new SkbPool(64);

export class KernelWorld implements ReplayWorld {
  readonly clock = new VirtualClock();
  readonly kernel: Kernel;
  readonly ipvs: Ipvs;
  readonly #breath = new Breath(() => {});
  readonly #outside = new CollectingLink();
  readonly #local: Director;

  constructor({ vips, nodeIP, nat, tracked, masquerade }: WorldOptions) {
    const { clock } = this;
    this.kernel = new Kernel({
      clock,
      rng: new SeededRng(7),
      pool,
      breath: this.#breath,
      hostname: 'director',
      conntrackMax: 4096, // as of the oracle's guest, and so is this
      limitsIcmp: false,
      acceptsLocal: true,
    });
    this.ipvs = new Ipvs(this.kernel);
    const netlink = createNetlink(this.kernel, this.ipvs);
    const t0 = this.kernel.addDevice('t0', this.#outside, {});
    this.kernel.addresses.add(t0, ipv4(nodeIP), 32);
    this.kernel.fib.add({ network: 0, prefixLen: 0, oif: t0.ifindex, prefsrc: ipv4(nodeIP) });
    this.#local = new Director(this.kernel);
    if (!tracked) {
      const hooks = [NF_INET_PRE_ROUTING, NF_INET_LOCAL_OUT] as const;
      for (const hook of hooks) this.kernel.hooks.register(hook, NF_IP_PRI_RAW, untrack);
    }
    netlink.commit([
      { op: 'link-add', name: 'kube-ipvs0', kind: 'dummy' },
      ...vips.map((vip) => ({ op: 'addr-add' as const, dev: 'kube-ipvs0', addr: ipv4(vip), prefixLen: 32 })),
      ...(nat ? [natRules(masquerade)] : []),
    ]);
  }

  inject(packet: Uint8Array): readonly Parsed[] {
    this.#outside.sent.length = 0;
    const skb = pool.alloc()!;
    skb.bytes.set(packet, skb.nh);
    skb.tail = skb.nh + packet.length;
    this.kernel.nowUs = this.clock.nowUs();
    this.#outside.receiver!.receive(skb);
    this.#breath.run();
    this.#local.answer();
    this.#breath.run();
    return this.#outside.sent.map((bytes) => {
      const wrong = faults(bytes, 'ip');
      if (wrong.length > 0) throw new Error(`sent a packet with wrong ${wrong.join(', ')}`);
      return parse(bytes, 'ip');
    });
  }

  advance(us: number): void {
    this.clock.advance(us);
    this.kernel.nowUs = this.clock.nowUs();
  }

  close(): void {
    this.ipvs.close();
    this.kernel.close();
  }
}

/** Linux tracks connections only once something needs it: its hooks are not there. */
function untrack(skb: Skb): Verdict {
  skb.ct = 0;
  skb.ctinfo = IP_CT_UNTRACKED;
  return NF_ACCEPT;
}

class CollectingLink implements Link {
  readonly kind = 'ip';
  readonly mtu = 1500;
  readonly features = 0;
  readonly sent: Uint8Array[] = [];
  receiver: LinkReceiver | null = null;

  attach(receiver: LinkReceiver): void {
    this.receiver = receiver;
  }

  transmit(skb: Skb): void {
    this.sent.push(skb.bytes.slice(skb.nh, skb.tail));
    skb.free();
  }

  close(): void {}
}

/** The director's own stack, without any socket: it resets what is TCP and refuses what is UDP. */
class Director implements LinkReceiver {
  readonly #kernel: Kernel;
  readonly #link: Link;
  readonly #resets: Uint8Array[] = [];

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#link = kernel.localLink();
    this.#link.attach(this);
  }

  receive(skb: Skb): void {
    const packet = parse(skb.bytes.slice(skb.nh, skb.tail), 'ip');
    if (packet.udp) this.#kernel.icmpSend(skb, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, 0);
    else if (packet.tcp && !packet.tcp.flags.includes('R') && packet.ip!.daddr !== '255.255.255.255')
      this.#resets.push(resetOf(packet));
    skb.free();
  }

  answer(): void {
    for (const bytes of this.#resets.splice(0)) {
      const skb = pool.alloc()!;
      skb.bytes.set(bytes, skb.nh);
      skb.th = skb.nh + IPV4_HLEN;
      skb.tail = skb.nh + bytes.length;
      this.#link.transmit(skb);
    }
  }
}

/** RFC 9293 3.10.7.1. */
function resetOf({ ip: header, tcp: segment, payload }: Parsed): Uint8Array {
  const { saddr, daddr } = header!;
  const { sport, dport, seq, ack, flags } = segment!;
  const length = payload.length + (/[SF]/.test(flags) ? 1 : 0);
  const reset = flags.includes('A') ? { flags: 'R', seq: ack } : { flags: 'RA', seq: 0, ack: seq + length };
  return ip({ saddr: daddr, daddr: saddr }, tcp({ sport: dport, dport: sport, window: 0, ...reset }));
}

function natRules(masquerade: WorldOptions['masquerade']): IptablesRestoreOp {
  const mark = 0x4000;
  const jump = (chain: string) => ({ matches: [], target: { kind: 'jump' as const, chain } });
  return {
    op: 'iptables-restore',
    table: 'nat',
    chains: [
      { name: 'KUBE-MARK-MASQ', rules: [{ matches: [], target: { kind: 'MARK', value: mark, mask: mark } }] },
      {
        name: 'KUBE-POSTROUTING',
        rules: [
          { matches: [{ kind: 'mark', value: mark, mask: mark, invert: true }], target: { kind: 'RETURN' } },
          { matches: [], target: { kind: 'MARK', value: mark, mask: 0 } },
          { matches: [], target: { kind: 'MASQUERADE', randomFully: false } },
        ],
      },
      {
        name: 'KUBE-SERVICES',
        rules: masquerade.map(({ vip, port, protocol }) => ({
          matches: [
            { kind: 'destination', addr: ipv4(vip), prefixLen: 32 },
            { kind: 'protocol', proto: protocol === 'udp' ? 17 : 6 },
            { kind: 'dport', first: port, last: port },
          ],
          target: { kind: 'jump', chain: 'KUBE-MARK-MASQ' },
        })),
      },
    ],
    ensureFirst: [
      { chain: 'PREROUTING', rule: jump('KUBE-SERVICES') },
      { chain: 'OUTPUT', rule: jump('KUBE-SERVICES') },
      { chain: 'POSTROUTING', rule: jump('KUBE-POSTROUTING') },
    ],
  };
}
