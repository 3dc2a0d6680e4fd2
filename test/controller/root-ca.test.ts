import t from 'tap';
import { CONFIGMAPS, NAMESPACES } from '../../src/api/resources.ts';
import { namespace } from '../support/api.ts';
import { controlPlane } from '../support/control-plane.ts';

t.test('every Namespace has the CA, as it is, and again when it is lost or changed', async (t) => {
  const cp = await controlPlane(t, { rootCA: 'the CA' });
  const { client, clock } = cp;
  await client.create(NAMESPACES, namespace('dev'));
  await clock.run(1e6);
  const data = async (ns: string) => (await client.get(CONFIGMAPS, ns, 'kube-root-ca.crt')).data;
  for (const ns of ['default', 'kube-system', 'dev']) t.same(await data(ns), { 'ca.crt': 'the CA' }, ns);
  await client.patch(CONFIGMAPS, 'dev', 'kube-root-ca.crt', 'merge', { data: { 'ca.crt': 'another', more: 'x' } });
  await client.delete(CONFIGMAPS, 'default', 'kube-root-ca.crt');
  await clock.run(1e6);
  for (const ns of ['default', 'dev']) t.same(await data(ns), { 'ca.crt': 'the CA' }, ns);
  t.same(cp.errors, []);
});
