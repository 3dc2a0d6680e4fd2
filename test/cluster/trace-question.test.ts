import t from 'tap';
import type { Service } from '../../src/api/core-v1.ts';
import { resolveService } from '../../src/cluster/trace-question.ts';

const service = (name: string, namespace: string, spec: Partial<Service['spec']>): Service =>
  ({ apiVersion: 'v1', kind: 'Service', metadata: { name, namespace }, spec }) as Service;

const SERVICES = [
  service('ent', 'dev', { clusterIP: '10.96.0.1' }),
  service('ent', 'prod', { clusterIP: '10.96.0.2' }),
  service('db', 'dev', { clusterIP: 'None' }),
  service('alias', 'dev', { type: 'ExternalName', externalName: 'ent.prod.svc.cluster.local.' }),
  service('twice', 'dev', { type: 'ExternalName', externalName: 'alias.dev.svc.cluster.local' }),
  service('ring', 'dev', { type: 'ExternalName', externalName: 'ring.dev.svc.cluster.local' }),
  service('outside', 'dev', { type: 'ExternalName', externalName: 'example.com' }),
];
const resolve = (name: string): string => resolveService(name, 'dev', 'cluster.local', SERVICES);

t.test('a name is what the search list of the Pod makes of it', async (t) => {
  t.equal(resolve('ent'), '10.96.0.1');
  t.equal(resolve('ent.prod'), '10.96.0.2');
  t.equal(resolve('ent.prod.svc.cluster.local.'), '10.96.0.2');
  t.throws(() => resolve('none'), {
    message: /^none: no Service by that name is reachable from namespace dev \(tried /,
  });
  t.throws(() => resolve('db'), { message: /^db is a headless Service/ });
});

t.test('an ExternalName leads to the Service it names, and to nothing else', async (t) => {
  t.equal(resolve('alias'), '10.96.0.2');
  t.equal(resolve('twice'), '10.96.0.2');
  t.throws(() => resolve('outside'), {
    message: 'outside is an ExternalName Service: it stands for example.com; trace to an address of that name',
  });
  t.throws(() => resolve('ring'), { message: /^ring\.dev\.svc\.cluster\.local is an ExternalName Service/ });
});
