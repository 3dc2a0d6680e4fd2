import t from 'tap';
import { readObjects } from '../../../src/cluster/offline/objects.ts';

const deployment = (more = ''): string => `apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: nginx, ports: [{name: http, containerPort: 8080}]}]}
${more}---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: http}]}
`;
const STATEFUL = `---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec: {serviceName: db, selector: {matchLabels: {app: db}}, template: {metadata: {labels: {app: db}}, spec: {containers: []}}}
`;

const read = (text: string): ReturnType<typeof readObjects> => readObjects([{ name: 'a.yml', text }]);
const addresses = (text: string): string[] =>
  read(text).slices.flatMap(({ endpoints }) => endpoints.flatMap((e) => e.addresses));

t.test('a Deployment that nobody has run yet has its Pods, ready and on a named port', async (t) => {
  const { slices, pods } = read(deployment());
  t.same(
    pods.map((p) => `${p.metadata.namespace}/${p.metadata.name}`),
    ['shop/web-0', 'shop/web-1'],
  );
  t.same(addresses(deployment()), ['10.244.0.2', '10.244.0.3']);
  t.equal(slices[0]!.ports![0]!.port, 8080);
});

t.test("a StatefulSet's Pods have their host names; one replica when it says nothing", async (t) => {
  const pods = read(STATEFUL).pods.map(({ metadata, spec }) => [metadata.name, spec.hostname, spec.subdomain]);
  t.same(pods, [['db-0', 'db-0', 'db']]);
});

t.test('what a cluster has run is as the files say', async (t) => {
  t.same(addresses(deployment('status: {replicas: 2}\n')), [], 'it has a status, and its Pods are not here');
  const pod = (namespace: string): string =>
    `---\napiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: ${namespace}, labels: {app: web}}\nspec: {containers: [{name: c, image: nginx, ports: [{name: http, containerPort: 1}]}]}\nstatus: {phase: Running, podIP: 10.9.9.9, podIPs: [{ip: 10.9.9.9}], conditions: [{type: Ready, status: 'True'}]}\n`;
  t.same(addresses(deployment() + pod('shop')), ['10.9.9.9'], 'its Pods are among the files');
  t.equal(addresses(deployment() + pod('other')).length, 2, "another Namespace's Pod is not its own");
});
