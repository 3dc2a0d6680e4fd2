import t from 'tap';
import { Ipam } from '../../src/node/ipam.ts';
import { formatIPv4, ipv4 } from '../../src/tcpip-ts/wire/address.ts';

t.test('addresses come in order after the gateway, a freed one last', async (t) => {
  const ipam = new Ipam('10.244.3.0/29');
  t.equal(formatIPv4(ipam.gateway), '10.244.3.1');
  const first = ipam.allocate();
  t.equal(formatIPv4(first), '10.244.3.2');
  t.equal(formatIPv4(ipam.allocate()), '10.244.3.3');
  ipam.release(first);
  t.equal(formatIPv4(ipam.allocate()), '10.244.3.4', 'not the one just freed');
  ipam.allocate();
  t.equal(formatIPv4(ipam.allocate()), '10.244.3.6', 'the last before the broadcast address');
  t.equal(formatIPv4(ipam.allocate()), '10.244.3.2', 'now the freed one');
  t.throws(() => ipam.allocate(), { message: /no IP addresses available in range set: 10\.244\.3\.2-10\.244\.3\.6/ });
  t.equal(ipam.used, 5);
});

t.test('a network without room for Pods is refused', async (t) => {
  t.throws(() => new Ipam('10.244.3.0/30'), { message: /\/29 or larger/ });
  t.throws(() => new Ipam('nonsense'), { message: /podCIDR nonsense/ });
});

t.test('a reserved address is given to nobody but the Pod it is kept for', async (t) => {
  const ipam = new Ipam('10.244.3.0/29');
  const kept = ipv4('10.244.3.2');
  ipam.reserve(kept);
  ipam.reserve(ipv4('192.0.2.1'));
  t.equal(formatIPv4(ipam.allocate()), '10.244.3.3');
  t.equal(ipam.allocate(kept), kept);
  t.not(ipam.allocate(kept), kept, 'once');
  t.equal(formatIPv4(ipam.allocate(ipv4('192.0.2.1'))), '10.244.3.5', 'an address of another network is not kept');
});
