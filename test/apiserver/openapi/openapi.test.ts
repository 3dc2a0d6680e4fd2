// OpenAPI v3: whole, true to the schemas, cached as the real server lets it be cached, and good enough for kubectl explain.
import t from 'tap';
import { RESOURCES } from '../../../src/api/resources.ts';
import { DOCS, ENUMS, REQUIRED } from '../../../src/api/schema/docs.ts';
import { schemaOf } from '../../../src/api/schema/kinds.ts';
import type { Schema, Struct } from '../../../src/api/schema/schema.ts';
import { OpenApi } from '../../../src/apiserver/openapi/openapi.ts';
import { HttpsApi } from '../../support/https-api.ts';
import { Kubectl, needsKubectl } from '../../support/kubectl.ts';

const STRUCTS = new Map<string, Struct[]>();

function visit(schema: Schema): void {
  if (schema.kind === 'list') visit(schema.items);
  else if (schema.kind === 'map') visit(schema.values);
  else if (schema.kind === 'struct') {
    const same = STRUCTS.get(schema.name) ?? [];
    if (same.includes(schema)) return;
    STRUCTS.set(schema.name, [...same, schema]);
    for (const field of Object.values(schema.fields)) visit(field);
  }
}

for (const type of RESOURCES) visit(schemaOf(type)!);

t.test('every reference leads somewhere, and every kind is there with its list', async (t) => {
  const openApi = new OpenApi(RESOURCES);
  for (const root of Object.keys((openApi.index() as { paths: object }).paths)) {
    const { text } = openApi.document(root)!;
    const { components } = JSON.parse(text) as { components: { schemas: Record<string, object> } };
    const broken = [...text.matchAll(/"#\/components\/schemas\/([^"]+)"/g)].filter(
      ([, name]) => !components.schemas[name!],
    );
    t.same(broken, [], root);
  }
  const apps = JSON.parse(openApi.document('apis/apps/v1')!.text).components.schemas;
  t.match(apps['io.k8s.api.apps.v1.DeploymentList'], {
    'x-kubernetes-group-version-kind': [{ group: 'apps', version: 'v1', kind: 'DeploymentList' }],
  });
  t.ok(apps['io.k8s.api.core.v1.PodTemplateSpec'], 'structs keep their package wherever they are used');
  const core = JSON.parse(openApi.document('api/v1')!.text).components.schemas;
  t.match(core['io.k8s.api.core.v1.ServiceSpec'].properties.ports, {
    items: { allOf: [{ $ref: '#/components/schemas/io.k8s.api.core.v1.ServicePort' }] },
    'x-kubernetes-list-map-keys': ['port', 'protocol'],
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-patch-merge-key': 'port',
    'x-kubernetes-patch-strategy': 'merge',
  });
  t.equal(core['io.k8s.api.core.v1.ServicePort'].properties.protocol.default, 'TCP');
  t.equal(
    core['io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta'].properties.finalizers['x-kubernetes-list-type'],
    'set',
  );
});

t.test('structs of one name have one shape', async (t) => {
  const shape = ({ fields }: Struct): string => Object.keys(fields).sort().join();
  const differing = [...STRUCTS].filter(([, structs]) => new Set(structs.map(shape)).size > 1).map(([name]) => name);
  t.same(differing, []);
});

t.test('what the documentation names exists', async (t) => {
  const has = (struct: string, field: string): boolean =>
    (STRUCTS.get(struct) ?? []).some(({ fields }) => field === '' || Object.hasOwn(fields, field));
  // `spec` and the like come with every kind, whether it has them or not.
  const common = ['apiVersion', 'kind', 'metadata', 'spec', 'status'];
  const named = [
    ...Object.entries(DOCS).flatMap(([struct, docs]) =>
      Object.keys(docs)
        .filter((field) => !common.includes(field))
        .map((field) => [struct, field]),
    ),
    ...Object.entries(REQUIRED).flatMap(([struct, fields]) => fields.map((field) => [struct, field])),
    ...Object.keys(ENUMS).map((key) => key.split('.')),
  ] as [string, string][];
  t.same(
    named.filter(([struct, field]) => !has(struct, field)),
    [],
  );
});

t.test('documents are cached by their hash', async (t) => {
  const api = await HttpsApi.start(t);
  const { serverRelativeURL } = (await api.fetch('GET', '/openapi/v3')).json.paths['apis/apps/v1'];
  const found = await api.fetch('GET', serverRelativeURL);
  t.match(found, { code: 200, headers: { 'cache-control': 'public, immutable', etag: /^"[0-9A-F]{128}"$/ } });
  const again = await api.fetch('GET', serverRelativeURL, {
    headers: { 'If-None-Match': String(found.headers['etag']) },
  });
  t.match(again, { code: 304, text: '' });
  const stale = await api.fetch('GET', '/openapi/v3/apis/apps/v1?hash=OLD');
  t.match(stale, { code: 301, headers: { location: serverRelativeURL } });
  t.match(await api.fetch('GET', '/openapi/v3/apis/apps/v1'), { code: 200, headers: { 'cache-control': /no-cache/ } });
  t.match(await api.fetch('GET', '/openapi/v3/apis/wombats/v1'), { code: 404 });
  t.match(await api.fetch('GET', '/openapi/v3/api/v1', { headers: { Accept: 'image/png' } }), { code: 406 });
});

if (needsKubectl(t)) {
  t.test('kubectl explain', async (t) => {
    const { kubectl } = await Kubectl.ofApi(t);
    const says = async (line: string, expected: RegExp): Promise<void> => {
      const { stdout, stderr } = await kubectl.run(line);
      t.match(stdout + stderr, expected, line);
    };
    await says('explain pod.spec.containers', /^KIND: +Pod\nVERSION: +v1\n\nFIELD: containers <\[\]Container>\n/);
    await says(
      'explain pod.spec.containers',
      /\n {2}name\t<string> -required-\n {4}Unique in the Pod, a DNS label\.\n/,
    );
    await says('explain pod.spec.containers.imagePullPolicy', /\nENUM:\n {4}Always\n {4}IfNotPresent\n {4}Never\n/);
    await says('explain svc.spec.ports.targetPort', /FIELD: targetPort <IntOrString>/);
    await says(
      'explain deployment --recursive',
      /\n {2}spec\t<DeploymentSpec>\n(.*\n)* {4}strategy\t<DeploymentStrategy>\n/,
    );
    await says(
      'explain pod.spec.affinity.nodeAffinity --recursive',
      /requiredDuringSchedulingIgnoredDuringExecution\t<NodeSelector>/,
    );
    await says('explain pod.spec.bogus', /error: field "bogus" does not exist\n$/);
  });
}
