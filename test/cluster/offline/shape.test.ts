// What files say that cannot be, or that nobody makes anything of: an error in one line or a warning, each with its place.
import t from 'tap';
import { readObjects } from '../../../src/cluster/offline/objects.ts';
import { OfflineNode } from '../../../src/cluster/offline/offline-node.ts';

type Objects = ReturnType<typeof readObjects>;

function read(...documents: readonly (object | string)[]): Objects {
  const texts = documents.map((d) => (typeof d === 'string' ? d : JSON.stringify(d)));
  return readObjects([{ name: 'a.yml', text: texts.join('\n---\n') }]);
}

const service = (spec: unknown, more: object = {}): object => {
  return { apiVersion: 'v1', kind: 'Service', metadata: { namespace: 'ns', name: 'web' }, spec, ...more };
};
const PORTS = [{ port: 80 }];

t.test('wrong types are refused, as an API server would', (t) => {
  const rows: readonly (readonly [unknown, string])[] = [
    [{ ports: 80 }, 'number into Go struct field ServiceSpec.spec.ports of type []v1.ServicePort'],
    [{ ports: [{ port: '80' }] }, 'string into Go struct field ServicePort.spec.ports.port of type int32'],
    [{ clusterIP: 5 }, 'number into Go struct field ServiceSpec.spec.clusterIP of type string'],
    [{ externalIPs: '1.2.3.4' }, 'string into Go struct field ServiceSpec.spec.externalIPs of type []string'],
    ['none', 'string into Go struct field Service.spec of type v1.ServiceSpec'],
  ];
  for (const [spec, what] of rows) {
    const message = `a.yml:3:1: Service in version "v1" cannot be handled as a Service: json: cannot unmarshal ${what}`;
    t.throws(() => read('# first', service(spec)), { name: 'ManifestError', message });
  }
  t.throws(() => read({ apiVersion: 'v1', kind: 'Service', metadata: { generateName: 'web-' } }), {
    message: 'a.yml:1:1: Service: metadata.name is missing',
  });
  t.end();
});

t.test('fields that the kind does not have, and addresses that are none, are told of and left out', (t) => {
  const slice = {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: 's' },
    addressType: 'IPv4',
    endpoints: [{ addresses: ['10.0.0.1'] }, { addresses: ['fd00::1'] }, { addresses: ['x'] }],
  };
  const node = {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'n' },
    spec: { podCIDR: '10.0.0.0' },
    status: {
      addresses: [
        { type: 'Hostname', address: 'n' },
        { type: 'InternalIP', address: '300.0.0.1' },
      ],
    },
  };
  const spec = {
    clusterIP: '10.96.0.300',
    externalIPs: ['host', '010.0.0.1'],
    loadBalancerSourceRanges: ['1.2.3.4', ' 1.2.3.0/24'],
    ports: [{ port: 80, targetport: 8080 }],
  };
  const status = { loadBalancer: { ingress: [{ hostname: 'lb.example' }, { ip: 'lb' }] } };
  const { warnings } = read(service(spec, { status }), slice, node);
  t.same(warnings, [
    'a.yml:1:1: Service ns/web: unknown field "spec.ports[0].targetport"',
    'a.yml:1:1: Service ns/web: spec.clusterIPs: "10.96.0.300" is not an IP address, and is left out',
    'a.yml:1:1: Service ns/web: spec.externalIPs: "host" is not an IP address, and is left out',
    'a.yml:1:1: Service ns/web: spec.loadBalancerSourceRanges: "1.2.3.4" is not ADDRESS/LENGTH, and is left out',
    'a.yml:1:1: Service ns/web: status.loadBalancer.ingress: "lb" is not an IP address, and is left out',
    'a.yml:3:1: EndpointSlice s: endpoints.addresses: "fd00::1" is not an IPv4 address, and is left out',
    'a.yml:3:1: EndpointSlice s: endpoints.addresses: "x" is not an IPv4 address, and is left out',
    'a.yml:5:1: Node n: status.addresses: "300.0.0.1" is not an IP address, and is left out',
    'a.yml:5:1: Node n: spec.podCIDRs: "10.0.0.0" is not ADDRESS/LENGTH, and is left out',
  ]);
  t.end();
});

t.test('ports that are none are told of and left out, in each mode', (t) => {
  const ports = [{ name: 'a', port: 80, nodePort: 70_000 }, { name: 'b', port: 70_000 }, { name: 'c' }];
  const web = service({ type: 'LoadBalancer', clusterIP: '10.96.0.10', ports, healthCheckNodePort: -1 });
  const slice = {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { namespace: 'ns', name: 'web-1', labels: { 'kubernetes.io/service-name': 'web' } },
    addressType: 'IPv4',
    endpoints: [{ addresses: ['10.0.1.1'] }],
    ports: [{ name: 'a', port: 65_536 }, { name: 'a', port: 8080 }, { name: 'b' }],
  };
  const objects = read(web, slice);
  t.same(objects.warnings, [
    'a.yml:1:1: Service ns/web: spec.ports.port: 70000 is not a port, and is left out',
    'a.yml:1:1: Service ns/web: spec.ports.port: nothing is not a port, and is left out',
    'a.yml:1:1: Service ns/web: spec.ports.nodePort: 70000 is not a port, and is left out',
    'a.yml:1:1: Service ns/web: spec.healthCheckNodePort: -1 is not a port, and is left out',
    'a.yml:3:1: EndpointSlice ns/web-1: ports.port: 65536 is not a port, and is left out',
  ]);
  for (const mode of ['iptables', 'ipvs', 'nftables'] as const) {
    const offline = new OfflineNode(objects, mode);
    const answer = offline.explain({ from: '10.0.9.9', to: '10.96.0.10', toPort: 80, protocol: 'tcp' });
    t.match(answer.endpoints, [{ address: '10.0.1.1', port: 8080, probability: 1 }], mode);
    offline.close();
  }
  t.end();
});

t.test('a Node whose ranges overlap, with each other or with its address', (t) => {
  const node = {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'one' },
    spec: { podCIDRs: ['10.1.0.0/24', '10.1.0.0/16', '10.1.0.0/24', 'fd00::/64', 'fd00::/64', '192.168.0.0/24'] },
    status: { addresses: ['192.168.0.1', '192.168.0.1'].map((address) => ({ type: 'InternalIP', address })) },
  };
  const offline = new OfflineNode(read(node, service({ clusterIP: '10.96.0.10', ports: PORTS })), 'iptables');
  const refused = { from: '10.1.0.5', to: '10.96.0.10', toPort: 80, protocol: 'tcp' } as const;
  t.equal(offline.explain(refused).verdict, 'REJECT');
  offline.close();
  t.end();
});

t.test('nothing at all is no error: nulls, objects without a spec, headless Services, slices of names', (t) => {
  const bare = (apiVersion: string, kind: string): object => ({ apiVersion, kind, metadata: { name: 'bare' } });
  const objects = read(
    'null',
    '',
    bare('v1', 'Service'),
    service(null),
    service({ clusterIP: 'None', ports: PORTS }),
    service({ clusterIP: 'None', clusterIPs: ['None'] }),
    bare('v1', 'Node'),
    bare('v1', 'Pod'),
    bare('v1', 'Endpoints'),
    bare('apps/v1', 'Deployment'),
    bare('discovery.k8s.io/v1', 'EndpointSlice'),
    {
      ...bare('discovery.k8s.io/v1', 'EndpointSlice'),
      addressType: 'IPv4',
      endpoints: [null, {}, { addresses: null }],
    },
    { ...bare('discovery.k8s.io/v1', 'EndpointSlice'), addressType: 'FQDN', endpoints: [{ addresses: ['a.example'] }] },
    { apiVersion: 'v1', kind: 'List', items: null },
    { ...bare('networking.k8s.io/v1', 'ServiceCIDR') },
    bare('example.org/v1', 'Anything'),
    bare('v1', 'ConfigMap'),
  );
  t.same(objects.warnings, []);
  for (const mode of ['iptables', 'ipvs', 'nftables'] as const) new OfflineNode(objects, mode).close();
  t.end();
});

const CONFIG = { apiVersion: 'kubeproxy.config.k8s.io/v1alpha1', kind: 'KubeProxyConfiguration' };

t.test('versions that nobody reads', (t) => {
  const old = { apiVersion: 'discovery.k8s.io/v1beta1', kind: 'EndpointSlice', metadata: { name: 's' } };
  t.same(read(old).warnings, ['a.yml:1:2: EndpointSlice of discovery.k8s.io/v1beta1 is not known, and is left out']);
  t.throws(() => read({ ...CONFIG, apiVersion: 'kubeproxy.config.k8s.io/v1' }), {
    message: 'a.yml:1:2: expected kubeproxy.config.k8s.io/v1alpha1',
  });
  t.same(read(CONFIG, CONFIG).warnings, ['a.yml:3:1: a second KubeProxyConfiguration: this one holds']);
  const cidrs = { apiVersion: 'networking.k8s.io/v1', kind: 'ServiceCIDR', metadata: { name: 'c' } };
  for (const wrong of ['10.0.0.0/8', ['x'], [8]])
    t.throws(() => read({ ...cidrs, spec: { cidrs: wrong } }), { message: /spec\.cidrs: expected a list of ADDRESS/ });
  t.end();
});

t.test('hostnameOverride says which Node it is; without any, the one there is has that name', (t) => {
  const node = (name: string, address: string): object => {
    return {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name },
      status: { addresses: [{ type: 'InternalIP', address }] },
    };
  };
  const slice = {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { namespace: 'ns', name: 'web-1', labels: { 'kubernetes.io/service-name': 'web' } },
    addressType: 'IPv4',
    endpoints: [
      { addresses: ['10.0.1.1'], nodeName: 'one' },
      { addresses: ['10.0.2.1'], nodeName: 'two' },
    ],
    ports: [{ port: 80 }],
  };
  const web = service({ clusterIP: '10.96.0.10', internalTrafficPolicy: 'Local', ports: PORTS });
  const chosen = (...documents: readonly object[]): string[] => {
    const offline = new OfflineNode(read(web, slice, ...documents), 'iptables');
    const answer = offline.explain({ from: '10.0.9.9', to: '10.96.0.10', toPort: 80, protocol: 'tcp' });
    offline.close();
    return answer.endpoints.map(({ address }) => address);
  };
  const two = { ...CONFIG, hostnameOverride: 'two' };
  t.same(chosen(node('one', '192.168.0.1'), node('two', '192.168.0.2')), ['10.0.1.1'], 'the first');
  t.same(chosen(node('one', '192.168.0.1'), node('two', '192.168.0.2'), two), ['10.0.2.1']);
  t.same(chosen(two), ['10.0.2.1']);
  t.throws(() => chosen(node('one', '192.168.0.1'), two), { message: /hostnameOverride|the files have no Node two/ });
  t.end();
});

t.test("bindAddress stands for the Node's address", (t) => {
  const addresses = ['192.168.0.1', '192.168.0.2'].map((address) => ({ type: 'InternalIP', address }));
  const node = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'one' }, status: { addresses } };
  const web = service({ type: 'NodePort', clusterIP: '10.96.0.10', ports: [{ port: 80, nodePort: 30_080 }] });
  const taken = (bindAddress: string): string[] => {
    const offline = new OfflineNode(read(web, node, { ...CONFIG, bindAddress }), 'nftables');
    const from = { from: '203.0.113.2', toPort: 30_080, protocol: 'tcp' } as const;
    const all = addresses.map(({ address }) => address);
    const found = all.filter((to) => offline.explain({ ...from, to }).verdict === 'REJECT');
    offline.close();
    return found;
  };
  t.same(taken('0.0.0.0'), ['192.168.0.1']);
  t.same(taken('::'), ['192.168.0.1']);
  t.same(taken('fd00::1'), ['192.168.0.1'], 'of the other family');
  t.same(taken('192.168.0.2'), ['192.168.0.2'], 'nftables mode takes NodePorts on the primary address');
  t.end();
});

t.test("a Pod may have the address that would be the gateway's", (t) => {
  const node = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'one' }, spec: { podCIDR: '10.0.0.0/8' } };
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'first' },
    spec: { nodeName: 'one' },
    status: { podIP: '10.0.0.1' },
  };
  const web = service({ clusterIP: '10.96.0.10', ports: PORTS });
  const offline = new OfflineNode(read(node, pod, web, CONFIG), 'iptables');
  const { hops } = offline.explain({ from: '10.0.0.1', to: '10.96.0.10', toPort: 80, protocol: 'tcp' });
  t.equal(hops[0]!.stage, 'RECEIVE', 'it comes in, it is not the Node that sends');
  offline.close();
  t.end();
});
