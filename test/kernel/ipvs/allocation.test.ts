// Established connections through the whole path (conntrack, IPVS, NAT, iptables as kube-proxy has them) allocate nothing, with
// addresses above 127.255.255.255 too, which V8 would box where they pass between functions unsigned.
import { Session } from 'node:inspector/promises';
import t from 'tap';
import { createNetlink } from '../../../src/kernel/core/netlink.ts';
import { Ipvs } from '../../../src/kernel/ipvs/ipvs.ts';
import { Kernel } from '../../../src/kernel/kernel.ts';
import { Breath } from '../../../src/lib/breath.ts';
import { VirtualClock } from '../../../src/lib/clock.ts';
import { SeededRng } from '../../../src/lib/rng.ts';
import { parseKubeProxyConfiguration } from '../../../src/proxy/config.ts';
import { EndpointSliceCache } from '../../../src/proxy/endpoints.ts';
import { IpvsProxier } from '../../../src/proxy/ipvs/proxier.ts';
import { servicePortsOf } from '../../../src/proxy/service-port.ts';
import type { Link, LinkReceiver } from '../../../src/tcpip-ts/link.ts';
import { type Skb, SkbPool } from '../../../src/tcpip-ts/skb.ts';
import { ipv4 } from '../../../src/tcpip-ts/wire/address.ts';
import { ip, udp } from '../../support/packet.ts';
import { endpointSlice, NODE_NAME, ready, service } from '../../support/services.ts';

class Sink implements Link {
  readonly kind = 'ip';
  readonly mtu = 1500;
  readonly features = 0;
  receiver: LinkReceiver | null = null;
  sent = 0;

  attach(receiver: LinkReceiver): void {
    this.receiver = receiver;
  }

  transmit(skb: Skb): void {
    this.sent++;
    skb.free();
  }

  close(): void {}
}

/** Bytes allocated on the heap by `work`, by sampling every 4 KiB: the least of three runs, since V8 may still be compiling. */
async function allocated(work: () => void): Promise<number> {
  let least = Infinity;
  for (let run = 0; run < 3; run++) least = Math.min(least, await sampled(work));
  return least;
}

async function sampled(work: () => void): Promise<number> {
  const session = new Session();
  session.connect();
  await session.post('HeapProfiler.startSampling', {
    samplingInterval: 4096,
    includeObjectsCollectedByMinorGC: true,
    includeObjectsCollectedByMajorGC: true,
  });
  work();
  const { profile } = await session.post('HeapProfiler.stopSampling');
  session.disconnect();
  const sum = (node: typeof profile.head): number => node.children.reduce((n, c) => n + sum(c), node.selfSize);
  return sum(profile.head);
}

for (const [client, server, vip] of [
  ['10.244.0.5', '10.244.0.6', '10.96.0.10'],
  ['192.168.49.9', '192.168.70.6', '172.30.0.10'],
] as const) {
  t.test(`a million datagrams ${client} -> ${vip} -> ${server} and their answers`, async (t) => {
    const pool = new SkbPool(16);
    const clock = new VirtualClock();
    const kernel = new Kernel({
      clock,
      rng: new SeededRng(1),
      pool,
      breath: new Breath(() => {}),
      hostname: 'n',
      conntrackMax: 64,
    });
    const ipvs = new Ipvs(kernel);
    const netlink = createNetlink(kernel, ipvs);
    const [a, b] = [new Sink(), new Sink()];
    for (const [name, link, addr] of [
      ['a', a, client],
      ['b', b, server],
    ] as const) {
      const device = kernel.addDevice(name, link, {});
      kernel.addresses.add(device, ipv4('10.244.0.1'), 32);
      kernel.fib.add({ network: ipv4(addr), prefixLen: 32, oif: device.ifindex });
    }
    const config = parseKubeProxyConfiguration({ mode: 'ipvs' });
    const proxier = new IpvsProxier({ netlink, clock, nodeName: NODE_NAME, config });
    proxier.prepare();
    const cache = new EndpointSliceCache(NODE_NAME);
    cache.update(endpointSlice('web', [{ port: 53, protocol: 'UDP' }], [ready(server)]), false);
    const ports = servicePortsOf(service('web', { clusterIP: vip, ports: [{ port: 53, protocol: 'UDP' }] }));
    const endpoints = cache.endpointsOf('default/web');
    proxier.sync({
      ports,
      endpoints,
      changed: ports.keys(),
      zone: '',
      nodeIP: undefined,
      local: undefined,
      serviceCIDRs: [],
    });

    const request = ip({ saddr: client, daddr: vip }, udp({ sport: 4000, dport: 53 }, 'x'.repeat(36)));
    const answer = ip({ saddr: server, daddr: client }, udp({ sport: 53, dport: 4000 }, 'x'.repeat(36)));
    const receive = (link: Sink, bytes: Uint8Array): void => {
      const skb = pool.alloc()!;
      skb.bytes.set(bytes, skb.nh);
      skb.tail = skb.nh + bytes.length;
      link.receiver!.receive(skb);
    };
    const send = (n: number): void => {
      for (let i = 0; i < n; i++) {
        receive(a, request);
        receive(b, answer);
      }
    };
    send(50_000);
    const bytes = await allocated(() => send(200_000));
    t.equal(a.sent + b.sent, 1_300_000);
    const perPacket = bytes / 400_000;
    t.ok(perPacket <= 1, `${perPacket.toFixed(2)} bytes a packet`);
    const start = process.hrtime.bigint();
    send(500_000);
    const ns = Number(process.hrtime.bigint() - start) / 1e6;
    t.comment(`${ns.toFixed(0)} ns a packet`);
    proxier.close();
    ipvs.close();
    kernel.close();
  });
}
