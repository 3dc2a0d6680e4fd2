// What a proxier may do to the IPv6 half of the Node, and how it hears of what cannot be.
import t from 'tap';
import { Net6 } from '../../../src/kernel/ip6/net.ts';
import { VirtualClock } from '../../../src/lib/clock.ts';

const ADDR = 0xfd00n << 112n;

t.test('deleting what is not there is refused, and leaves what is', async (t) => {
  const netlink = new Net6(new VirtualClock()).netlink();
  netlink.commit([
    { op: 'link-add', name: 'kube-ipvs0', kind: 'dummy' },
    { op: 'addr-add', dev: 'kube-ipvs0', addr: ADDR, prefixLen: 128 },
  ]);
  const names = () => netlink.links().map((l) => l.name);
  t.throws(() => netlink.commit([{ op: 'link-del', name: 'dummy0' }]), { code: 'ENODEV', index: 0 });
  t.throws(() => netlink.commit([{ op: 'addr-add', dev: 'dummy0', addr: ADDR, prefixLen: 128 }]), { code: 'ENODEV' });
  const unknown = { op: 'addr-del', dev: 'kube-ipvs0', addr: ADDR + 1n, prefixLen: 128 } as const;
  t.throws(() => netlink.commit([{ ...unknown, addr: ADDR }, unknown]), { code: 'EADDRNOTAVAIL', index: 1 });
  t.same(names(), ['lo', 'kube-ipvs0']);
  t.same(netlink.addresses('kube-ipvs0'), [], 'what came before the op that failed stays done');
});
