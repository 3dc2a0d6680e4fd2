// The offline Node on the situations of upstream's packet-flow tables that the sample leaves out: source ranges, both policies,
// with and without a local detector, masqueradeAll, several protocols on one port, and those of proxy-flows-more.json. From kubernetes/kubernetes
// pkg/proxy/iptables/proxier_test.go (TestInternalExternalMasquerade, TestLoadBalancer, TestClusterIPGeneral).
import t from 'tap';
import { differences, parseFlows } from '../../../src/cluster/offline/flows.ts';
import { readObjects } from '../../../src/cluster/offline/objects.ts';
import { OfflineNode } from '../../../src/cluster/offline/offline-node.ts';
import { offlineQuestion } from '../../../src/cluster/offline/question.ts';
import type { AskedTrace } from '../../../src/cluster/trace-question.ts';
import { flowRuns, MORE } from '../../support/flow-groups.ts';

const POD = '10.0.0.2';
const NODE = '192.168.0.2';
const OUTSIDE = '203.0.113.2';
const BLOCKED = '203.0.113.130';
const LOCALHOST = '127.0.0.1';

const node = {
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name: 'test-node' },
  status: { addresses: [NODE, '192.168.1.2'].map((address) => ({ type: 'InternalIP', address })) },
};

function service(name: string, clusterIP: string, spec: object, vip = ''): object {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace: 'ns', name },
    spec: { clusterIP, ...spec },
    ...(vip ? { status: { loadBalancer: { ingress: [{ ip: vip }] } } } : {}),
  };
}

function slice(name: string, ports: readonly object[], local: string, remote: string): object {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { namespace: 'ns', name: `${name}-1`, labels: { 'kubernetes.io/service-name': name } },
    addressType: 'IPv4',
    endpoints: [
      { addresses: [local], nodeName: 'test-node' },
      { addresses: [remote], nodeName: 'remote' },
    ],
    ports,
  };
}

function world(config: object, ...items: readonly object[]): (asked: AskedTrace, expected: string) => string[] {
  const kubeProxy = { apiVersion: 'kubeproxy.config.k8s.io/v1alpha1', kind: 'KubeProxyConfiguration', ...config };
  const list = { apiVersion: 'v1', kind: 'List', items: [node, kubeProxy, ...items] };
  const objects = readObjects([{ name: 'objects', text: JSON.stringify(list) }]);
  const offline = new OfflineNode(objects);
  return (asked, expected) => {
    const [verdict, ...rest] = expected.split(' ');
    const endpoints = rest.filter((word) => word.includes(':'));
    const expect =
      verdict === 'DNAT' ? { verdict, endpoints, masquerade: rest.includes('masq') } : { verdict: verdict! };
    return differences(expect, offline.explain(offlineQuestion(objects, asked)));
  };
}

const P80 = [{ name: 'p80', port: 80, protocol: 'TCP' }];

function policies(config: object): ReturnType<typeof world> {
  const spec = (nodePort: number, more: object): object => ({
    type: 'LoadBalancer',
    ports: [{ ...P80[0], nodePort }],
    ...more,
  });
  return world(
    config,
    service('any', '172.30.0.41', spec(3001, {}), '1.2.3.4'),
    service('etp', '172.30.0.42', spec(3002, { externalTrafficPolicy: 'Local' }), '5.6.7.8'),
    service('itp', '172.30.0.43', spec(3003, { internalTrafficPolicy: 'Local' }), '9.10.11.12'),
    slice('any', P80, '10.180.0.1', '10.180.1.1'),
    slice('etp', P80, '10.180.0.2', '10.180.1.2'),
    slice('itp', P80, '10.180.0.3', '10.180.1.3'),
  );
}

const ANY = '10.180.0.1:80 10.180.1.1:80';
const ETP = '10.180.0.2:80 10.180.1.2:80';
const ITP = '10.180.0.3:80 10.180.1.3:80';
/** With a local detector and without masqueradeAll. */
const BASE: readonly (readonly [from: string, to: string, expected: string])[] = [
  [POD, '172.30.0.41:80', `DNAT ${ANY}`],
  [POD, `${NODE}:3001`, `DNAT ${ANY} masq`],
  [POD, '1.2.3.4:80', `DNAT ${ANY} masq`],
  [NODE, '172.30.0.41:80', `DNAT ${ANY} masq`],
  [NODE, `${NODE}:3001`, `DNAT ${ANY} masq`],
  [LOCALHOST, '127.0.0.1:3001', `DNAT ${ANY} masq`],
  [NODE, '1.2.3.4:80', `DNAT ${ANY} masq`],
  [OUTSIDE, '172.30.0.41:80', `DNAT ${ANY} masq`],
  [OUTSIDE, `${NODE}:3001`, `DNAT ${ANY} masq`],
  [POD, '172.30.0.42:80', `DNAT ${ETP}`],
  [POD, `${NODE}:3002`, `DNAT ${ETP}`],
  [POD, '5.6.7.8:80', `DNAT ${ETP}`],
  [NODE, '5.6.7.8:80', `DNAT ${ETP} masq`],
  [LOCALHOST, '127.0.0.1:3002', `DNAT ${ETP} masq`],
  [OUTSIDE, `${NODE}:3002`, 'DNAT 10.180.0.2:80'],
  [OUTSIDE, '5.6.7.8:80', 'DNAT 10.180.0.2:80'],
  [POD, '172.30.0.43:80', 'DNAT 10.180.0.3:80'],
  [NODE, '172.30.0.43:80', 'DNAT 10.180.0.3:80 masq'],
  [POD, `${NODE}:3003`, `DNAT ${ITP} masq`],
  [OUTSIDE, '9.10.11.12:80', `DNAT ${ITP} masq`],
];

/** What is otherwise, by `from to`. */
const VARIANTS: readonly (readonly [name: string, config: object, otherwise: Readonly<Record<string, string>>])[] = [
  ['with a local detector', { clusterCIDR: '10.0.0.0/8' }, {}],
  [
    'without a local detector',
    {},
    {
      [`${NODE} 172.30.0.41:80`]: `DNAT ${ANY}`,
      [`${OUTSIDE} 172.30.0.41:80`]: `DNAT ${ANY}`,
      [`${NODE} 172.30.0.43:80`]: 'DNAT 10.180.0.3:80',
      [`${POD} ${NODE}:3002`]: 'DNAT 10.180.0.2:80',
      [`${POD} 5.6.7.8:80`]: 'DNAT 10.180.0.2:80',
    },
  ],
  [
    'with masqueradeAll',
    { clusterCIDR: '10.0.0.0/8', iptables: { masqueradeAll: true } },
    {
      [`${POD} 172.30.0.41:80`]: `DNAT ${ANY} masq`,
      [`${POD} 172.30.0.42:80`]: `DNAT ${ETP} masq`,
      [`${POD} 172.30.0.43:80`]: 'DNAT 10.180.0.3:80 masq',
    },
  ],
];

for (const mode of ['iptables', 'nftables']) {
  for (const [name, config, otherwise] of VARIANTS) {
    t.test(`${mode}, both traffic policies, ${name}`, (t) => {
      const check = policies({ mode, ...config });
      for (const [from, to, base] of BASE) {
        // nftables mode takes no NodePorts on loopback.
        const expected = mode === 'nftables' && from === LOCALHOST ? 'NONE' : (otherwise[`${from} ${to}`] ?? base);
        t.same(check({ from, to, protocol: 'tcp' }, expected), [], `${from} to ${to}: ${expected}`);
      }
      t.end();
    });
  }

  t.test(`${mode}: source ranges guard the load balancer's address, from everywhere, and nothing else`, (t) => {
    const ranges = ['192.168.0.0/24', ' 203.0.113.0/25'];
    const spec = { type: 'LoadBalancer', ports: [{ ...P80[0], nodePort: 3001 }], loadBalancerSourceRanges: ranges };
    const check = world(
      { mode, clusterCIDR: '10.0.0.0/8' },
      service('any', '172.30.0.41', spec, '1.2.3.4'),
      slice('any', P80, '10.180.0.1', '10.180.1.1'),
    );
    const cases: [string, string, string][] = [
      [POD, '172.30.0.41:80', `DNAT ${ANY}`],
      [BLOCKED, `${NODE}:3001`, `DNAT ${ANY} masq`],
      [OUTSIDE, '1.2.3.4:80', `DNAT ${ANY} masq`],
      [BLOCKED, '1.2.3.4:80', 'DROP'],
      [POD, '1.2.3.4:80', 'DROP'],
      [NODE, '1.2.3.4:80', `DNAT ${ANY} masq`],
      ['1.2.3.4', '1.2.3.4:80', `DNAT ${ANY} masq`],
    ];
    for (const [from, to, expected] of cases)
      t.same(check({ from, to, protocol: 'tcp' }, expected), [], `${from} to ${to}: ${expected}`);
    t.end();
  });

  t.test(`${mode}: TCP, UDP and SCTP on one port are three; hairpin is masqueraded`, (t) => {
    const ports = (['TCP', 'UDP', 'SCTP'] as const).map((protocol, i) => ({
      name: `p${protocol.toLowerCase()}`,
      protocol,
      port: 53,
      targetPort: 5300 + i,
    }));
    const check = world(
      { mode, clusterCIDR: '10.0.0.0/8' },
      service('dns', '172.30.0.42', { ports }),
      slice(
        'dns',
        ports.map(({ name, protocol, targetPort: port }) => ({ name, protocol, port })),
        '10.180.0.1',
        '10.180.2.1',
      ),
    );
    for (const [i, protocol] of (['tcp', 'udp', 'sctp'] as const).entries()) {
      const expected = `DNAT 10.180.0.1:${5300 + i} 10.180.2.1:${5300 + i}`;
      t.same(check({ from: POD, to: '172.30.0.42:53', protocol }, expected), [], protocol);
    }
    const unknown = mode === 'nftables' ? 'REJECT' : 'NONE';
    t.same(check({ from: POD, to: '172.30.0.42:54', protocol: 'tcp' }, unknown), [], 'a port of nobody');
    t.end();
  });
}

for (const { name, mode, objects: list, flows } of flowRuns(MORE)) {
  t.test(`${mode}: ${name}`, (t) => {
    const objects = readObjects([{ name, text: JSON.stringify(list) }]);
    const offline = new OfflineNode(objects, mode);
    for (const { name: flow, asked, expect } of parseFlows(JSON.stringify(flows), 'flows'))
      t.same(differences(expect!, offline.explain(offlineQuestion(objects, asked!))), [], flow);
    offline.close();
    t.end();
  });
}

t.test('manifests that no API server has seen get addresses, endpoints from Pods, names', (t) => {
  const text = `
apiVersion: v1
kind: Pod
metadata: {name: client}
spec: {containers: [{name: c, image: busybox}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, labels: {app: web}}
spec: {containers: [{name: c, image: nginx, ports: [{name: http, containerPort: 8080}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: http}]}
---
apiVersion: example.org/v1
kind: Whatever
metadata: {name: ignored}
`;
  const objects = readObjects([{ name: 'web.yml', text }]);
  const offline = new OfflineNode(objects);
  t.equal(offline.config.mode, 'ipvs', 'as podwire up');
  const answer = offline.explain(offlineQuestion(objects, { pod: 'default/client', to: 'web:80', protocol: 'tcp' }));
  t.match(answer, { verdict: 'DNAT', endpoints: [{ address: '10.244.0.3', port: 8080, probability: 1 }] });
  t.throws(
    () => offlineQuestion(objects, { pod: 'default/nobody', to: 'web:80', protocol: 'tcp' }),
    /no Pod default\/nobody/,
  );
  offline.close();
  t.end();
});
