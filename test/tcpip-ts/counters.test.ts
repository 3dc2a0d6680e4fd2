import t from 'tap';
import { Counters, NEIGH, NETSTAT, SNMP } from '../../src/tcpip-ts/counters.ts';

t.test('every counter has a place of its own, without gaps', async (t) => {
  const indices = [SNMP, NETSTAT, NEIGH].flatMap((group) => Object.values(group));
  t.same(
    indices.sort((a, b) => a - b),
    Array.from(new Counters().v, (_, i) => i),
  );
});

t.test('by name, and only what is not zero', async (t) => {
  const counters = new Counters();
  counters.v[SNMP.UdpNoPorts]! += 3;
  counters.v[NETSTAT.TcpExtTCPTimeouts]!++;
  t.equal(counters.get('UdpNoPorts'), 3);
  t.equal(counters.get('UdpInErrors'), 0);
  t.same(counters.nonZero(), { UdpNoPorts: 3, TcpExtTCPTimeouts: 1 });
});
