// Established connections through the whole path (conntrack, IPVS, NAT, iptables as kube-proxy has them) allocate nothing, with
// addresses above 127.255.255.255 too, which V8 would box where they pass between functions unsigned.
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
import { SkbPool } from '../../../src/tcpip-ts/skb.ts';
import { ipv4 } from '../../../src/tcpip-ts/wire/address.ts';
import { allocated } from '../../support/allocated.ts';
import { ip, udp } from '../../support/packet.ts';
import { endpointSlice, NODE_NAME, ready, service } from '../../support/services.ts';
import { SinkLink } from '../../support/sink-link.ts';

for (const [client, server, vip] of [
  ['10.244.0.5', '10.244.0.6', '10.96.0.10'],
  ['192.168.49.9', '192.168.70.6', '172.30.0.10'],
] as const) {
  t.test(`datagrams ${client} -> ${vip} -> ${server} and their answers`, async (t) => {
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
    const [a, b] = [new SinkLink('ip'), new SinkLink('ip')];
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
    const receive = (link: SinkLink, bytes: Uint8Array): void => {
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
    let packets = 100_000;
    const bytes = await allocated(400_000, () => {
      send(200_000);
      packets += 400_000;
    });
    t.equal(a.sent + b.sent, packets);
    t.ok(bytes <= 400_000, `${bytes} bytes for 400,000 packets`);
    proxier.close();
    ipvs.close();
    kernel.close();
  });
}
