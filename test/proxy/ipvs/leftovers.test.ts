// What stays of IPVS when iptables mode takes over, and what goes when nftables mode does.
import t from 'tap';
import { ENDPOINTSLICES, SERVICES } from '../../../src/api/resources.ts';
import { type ProxyMode, parseKubeProxyConfiguration } from '../../../src/proxy/config.ts';
import { POD_A, POD_B } from '../../support/kernel.ts';
import { ip, udp } from '../../support/packet.ts';
import { type Bench, Connection, makeBench, slice, web } from '../../support/proxy-bench.ts';
import { endpointSlice, ready, service } from '../../support/services.ts';

const DNS_VIP = '10.96.0.53';

/** IPVS mode, with `web` and a Service of the same Pod's for UDP port 53. */
async function started(): Promise<Bench> {
  const b = await makeBench({}, '');
  b.lab.pod('b', POD_B);
  await b.client.create(SERVICES, web());
  await b.client.create(ENDPOINTSLICES, slice(POD_B));
  await b.client.create(SERVICES, service('dns', { clusterIP: DNS_VIP, ports: [{ port: 53, protocol: 'UDP' }] }));
  await b.client.create(ENDPOINTSLICES, endpointSlice('dns', [{ port: 53, protocol: 'UDP' }], [ready(POD_B)]));
  await b.start();
  return b;
}

function switchTo({ proxy }: Bench, mode: ProxyMode): string[] {
  const notices = proxy.reconfigure(parseKubeProxyConfiguration({ mode, clusterCIDR: '10.244.0.0/16' }));
  return notices.map(({ type, reason, message }) => `${type} ${reason}: ${message}`);
}

function ask({ lab }: Bench, sport: number): boolean {
  lab.take('b');
  lab.from('a', ip({ saddr: POD_A, daddr: DNS_VIP }, udp({ sport, dport: 53 })));
  return lab.take('b')[0]?.ip?.daddr === POD_B;
}

/** The server answers; where the client sees the answer come from. */
function answer({ lab }: Bench, dport: number): string | undefined {
  lab.take('a');
  lab.from('b', ip({ saddr: POD_B, daddr: POD_A }, udp({ sport: 53, dport })));
  return lab.take('a')[0]?.ip?.saddr;
}

const clusterIPs = ({ lab }: Bench): unknown =>
  lab.kernel.devices.byName('kube-ipvs0') && lab.netlink.addresses('kube-ipvs0').length;

t.test('on the way to iptables a connection stays until it ends, and IPVS with it, for nothing new', async (t) => {
  const b = await started();
  const old = new Connection(b.lab, 40000);
  t.ok(old.open());
  t.same(switchTo(b, 'iptables'), [
    'Normal ProxyModeChanged: proxy mode ipvs -> iptables',
    'Normal ConnectionsKept: IPVS keeps 1 TCP connection (10.244.0.5:40000 to 10.96.0.10:80 at 10.244.0.6:8080) until they end',
  ]);
  t.equal(clusterIPs(b), 1, 'the ClusterIP of dns has gone, that of web is still local');
  await b.lab.clock.run(600e6);
  t.ok(old.works(), 'ten minutes later');
  const fresh = new Connection(b.lab, 40001);
  t.ok(fresh.open() && fresh.works());
  t.match(
    b.ipvs.dests({ proto: 6, addr: 0x0a60000a, port: 80 }),
    [{ weight: 0, activeConns: 1 }],
    'the new one is not here',
  );
  t.ok(old.close());
  await b.lab.clock.run(1e6);
  t.equal(b.ipvs.save(), '');
  t.equal(clusterIPs(b), undefined, 'and nothing is left');
  t.ok(fresh.works());
  t.same(b.errors, []);
  b.close();
});

t.test('a request that is under way when iptables mode comes is answered', async (t) => {
  const b = await started();
  t.ok(ask(b, 5353));
  t.same(switchTo(b, 'iptables'), ['Normal ProxyModeChanged: proxy mode ipvs -> iptables']);
  t.ok(ask(b, 5354), 'another one');
  t.equal(answer(b, 5353), DNS_VIP);
  t.equal(answer(b, 5354), DNS_VIP);
  await b.lab.clock.run(400e6);
  t.equal(b.ipvs.save(), '');
  t.same(b.errors, []);
  b.close();
});

for (const mode of ['iptables', 'nftables'] as const) {
  t.test(`a client that takes a port again has its connection in ${mode} mode, whatever IPVS remembers`, async (t) => {
    const b = await started();
    const old = new Connection(b.lab, 40000);
    t.ok(old.open() && old.close());
    t.equal(switchTo(b, mode).length, 1, 'nothing to tell');
    const fresh = new Connection(b.lab, 40000);
    t.ok(fresh.open());
    await b.lab.clock.run(30_000);
    t.ok(fresh.hears(), 'when IPVS has let go of the old one');
    t.ok(fresh.works());
    b.close();
  });
}

t.test('back in ipvs mode what was left is taken over, connections and all', async (t) => {
  const b = await started();
  const old = new Connection(b.lab, 40000);
  t.ok(old.open());
  switchTo(b, 'iptables');
  t.same(switchTo(b, 'ipvs'), ['Normal ProxyModeChanged: proxy mode iptables -> ipvs']);
  t.match(b.ipvs.save(), '-a -t 10.96.0.10:80 -r 10.244.0.6:8080 -m -w 1\n');
  await b.lab.clock.run(60e6);
  t.match(b.ipvs.save(), '-A -t 10.96.0.10:80', 'and nobody clears it up any more');
  const fresh = new Connection(b.lab, 40001);
  t.ok(old.works() && fresh.open() && fresh.works());
  t.same(b.errors, []);
  b.close();
});

for (const by of ['nftables', 'iptables, nftables']) {
  t.test(`what goes when IPVS is flushed is named: ipvs, ${by}`, async (t) => {
    const b = await started();
    for (let i = 0; i < 12; i++) t.ok(new Connection(b.lab, 40000 + i).open());
    t.ok(new Connection(b.lab, 41000).open());
    const ended = new Connection(b.lab, 42000);
    t.ok(ended.open() && ended.close());
    t.ok(ask(b, 5353) && ask(b, 5354));
    t.equal(answer(b, 5354), DNS_VIP);
    const told = by.split(', ').flatMap((mode) => switchTo(b, mode as ProxyMode));
    const [lost = '', ...more] = told.filter((text) => text.startsWith('Warning'));
    t.same(more, []);
    t.match(lost, /^Warning ConnectionsLost: IPVS was flushed, .* has forgotten 13 TCP connections \(/);
    t.equal(lost.match(/10\.244\.0\.5:4\d{4} to 10\.96\.0\.10:80 at 10\.244\.0\.6:8080/g)?.length, 10);
    t.match(
      lost,
      /, and 3 more\) and 1 UDP request without an answer yet \(10\.244\.0\.5:5353 to 10\.96\.0\.53:53 at 10\.244\.0\.6:53\): /,
    );
    t.notMatch(lost, ':42000', 'not what had ended');
    t.ok(lost.length < 1024, 'an Event takes it');
    t.equal(answer(b, 5353), POD_B, 'an answer that nobody translates back');
    t.equal(b.ipvs.save(), '');
    t.equal(clusterIPs(b), undefined);
    t.same(b.errors, []);
    b.close();
  });
}
