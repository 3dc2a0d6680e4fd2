import t from 'tap';
import { Fib, NO_ROUTE, RTN_BROADCAST, RTN_LOCAL, RTN_UNICAST } from '../../../src/kernel/ip/fib.ts';
import { ipv4, netmask } from '../../../src/tcpip-ts/wire/address.ts';
import { fc } from '../../support/property.ts';

t.test('the longest prefix wins', async (t) => {
  const fib = new Fib();
  fib.add({ network: 0, prefixLen: 0, oif: 1, gateway: ipv4('192.168.49.1') });
  fib.add({ network: ipv4('10.244.0.0'), prefixLen: 16, oif: 2 });
  fib.add({ network: ipv4('10.244.3.0'), prefixLen: 24, oif: 3 });
  fib.add({ network: ipv4('10.244.3.7'), prefixLen: 32, oif: 4 });
  const oif = (addr: string) => fib.oifOf(fib.lookup(ipv4(addr)));
  t.same(['8.8.8.8', '10.244.9.9', '10.244.3.1', '10.244.3.7'].map(oif), [1, 2, 3, 4]);
  t.equal(fib.gatewayOf(fib.lookup(ipv4('8.8.8.8'))), ipv4('192.168.49.1'));
  fib.remove(ipv4('10.244.3.7'), 32);
  t.equal(oif('10.244.3.7'), 3);
  fib.remove(0, 0);
  t.equal(fib.lookup(ipv4('8.8.8.8')), NO_ROUTE);
});

t.test('local addresses come before any other route', async (t) => {
  const fib = new Fib();
  fib.add({ network: ipv4('127.0.0.1'), prefixLen: 8, type: RTN_LOCAL, oif: 1 });
  fib.add({ network: ipv4('127.0.0.53'), prefixLen: 32, oif: 9 });
  fib.add({ network: ipv4('10.0.0.255'), prefixLen: 32, type: RTN_BROADCAST, oif: 2 });
  t.equal(fib.typeOf(fib.lookup(ipv4('127.0.0.53'))), RTN_LOCAL);
  t.ok(fib.isLocal(ipv4('127.9.9.9')));
  t.notOk(fib.isLocal(ipv4('10.0.0.255')), 'a broadcast address is not local');
});

t.test('adding again replaces', async (t) => {
  const fib = new Fib();
  fib.add({ network: ipv4('10.0.0.1'), prefixLen: 32, oif: 1 });
  fib.add({ network: ipv4('10.0.0.1'), prefixLen: 32, oif: 2 });
  t.equal(fib.list().length, 1);
  t.equal(fib.oifOf(fib.lookup(ipv4('10.0.0.1'))), 2);
});

t.test('addresses may be given signed or unsigned', async (t) => {
  const fib = new Fib();
  fib.add({ network: ipv4('192.168.49.2'), prefixLen: 32, type: RTN_LOCAL, oif: 1 });
  t.ok(fib.isLocal(ipv4('192.168.49.2')));
  t.ok(fib.isLocal(ipv4('192.168.49.2') | 0));
});

t.test('agrees with a linear search, whatever is added and removed', async (t) => {
  const prefix = fc.record({
    network: fc.nat({ max: 0xffffffff }),
    prefixLen: fc.constantFrom(0, 8, 9, 24, 31, 32),
    add: fc.boolean(),
  });
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(fc.array(prefix, { maxLength: 200 }), fc.array(fc.nat({ max: 0xffffffff })), (steps, asked) => {
        const fib = new Fib();
        const list = new Map<string, { network: number; prefixLen: number; oif: number }>();
        steps.forEach(({ network, prefixLen, add }, i) => {
          network = (network & 0x0f0000ff & netmask(prefixLen)) >>> 0; // few networks, many clashes
          const key = `${network}/${prefixLen}`;
          if (add) {
            fib.add({ network, prefixLen, oif: i + 1, type: RTN_UNICAST });
            list.set(key, { network, prefixLen, oif: i + 1 });
          } else if (fib.remove(network, prefixLen) !== list.delete(key)) throw new Error(`remove ${key}`);
        });
        for (const addr of [...asked, ...steps.map((s) => (s.network & 0x0f0000ff) >>> 0)]) {
          const best = [...list.values()]
            .filter((r) => (addr & netmask(r.prefixLen)) >>> 0 === r.network)
            .sort((a, b) => b.prefixLen - a.prefixLen)[0];
          const found = fib.lookup(addr);
          if ((found === NO_ROUTE ? undefined : fib.oifOf(found)) !== best?.oif) return false;
        }
        return true;
      }),
    ),
  );
});

t.test('a lookup looks at few of a hundred thousand ClusterIPs', async (t) => {
  const count = 100_000;
  const first = ipv4('10.96.0.0');
  const fib = new Fib();
  for (let i = 0; i < count; i++) fib.add({ network: first + i, prefixLen: 32, type: RTN_LOCAL, oif: 2 });
  // Looking at all of them each time would take an hour; bench/kernel has the time of one.
  let hits = 0;
  for (let i = 0; i < 10 * count; i++) if (fib.isLocal((first + (i % (2 * count))) | 0)) hits++;
  t.equal(hits, 5 * count);
});
