import t from 'tap';
import { LEASES, NAMESPACES, NODES } from '../../../src/api/resources.ts';
import { NodeLease } from '../../../src/node/kubelet/node-lease.ts';
import { apiWorld, namespace } from '../../support/api.ts';

t.test('a Node renews its Lease every ten seconds, as soon as there is a Namespace for it', async (t) => {
  const { client, clock } = await apiWorld(t);
  const node = await client.create(NODES, { apiVersion: 'v1', kind: 'Node', metadata: { name: 'node-1' } });
  const lease = new NodeLease(client, clock, node);
  t.teardown(() => lease.close());
  lease.start();
  await clock.run(1e6);
  await client.create(NAMESPACES, namespace('kube-node-lease'));
  await clock.run(2e6);
  const get = () => client.get(LEASES, 'kube-node-lease', 'node-1');
  const first = await get();
  t.match(first, {
    metadata: { ownerReferences: [{ kind: 'Node', name: 'node-1', uid: node.metadata.uid }] },
    spec: { holderIdentity: 'node-1', leaseDurationSeconds: 40, renewTime: /\.\d{6}Z$/ },
  });
  const ageMs = async () => Date.parse((await get()).spec!.renewTime!) - Date.parse(first.spec!.renewTime!);
  await clock.run(35e6);
  t.equal(await ageMs(), 30_000);
  lease.close();
  await clock.run(35e6);
  t.equal(await ageMs(), 30_000, 'not any more');
});
