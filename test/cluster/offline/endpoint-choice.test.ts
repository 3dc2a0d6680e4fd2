// The rows of TestCategorizeEndpoints (test/support/endpoint-rows.ts) as flows, so that what a user sees of them is tested, too: a Pod
// asks the ClusterIP, which has the endpoints of the internal policy, and somebody outside the NodePort, which has those of the external
// one. None usable for the policy in force is a drop, none anywhere a refusal. IPVS differs by name (see modes.test.ts).
import t from 'tap';
import { differences } from '../../../src/cluster/offline/flows.ts';
import { readObjects } from '../../../src/cluster/offline/objects.ts';
import { OfflineNode } from '../../../src/cluster/offline/offline-node.ts';
import { ENDPOINT_ROWS, type EndpointRow } from '../../support/endpoint-rows.ts';

const NODE_IP = '192.168.0.2';

function objectsOf(row: EndpointRow): object[] {
  const { nodeName = 'node-1', nodeZone, externallyAccessible: external } = row;
  return [
    {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: nodeName, labels: nodeZone === null ? {} : { 'topology.kubernetes.io/zone': nodeZone } },
      status: { addresses: [{ type: 'InternalIP', address: NODE_IP }] },
    },
    { apiVersion: 'kubeproxy.config.k8s.io/v1alpha1', kind: 'KubeProxyConfiguration', clusterCIDR: '10.0.0.0/8' },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { namespace: 'ns', name: 'svc' },
      spec: {
        type: external ? 'NodePort' : 'ClusterIP',
        clusterIP: '172.30.0.1',
        internalTrafficPolicy: row.internalTrafficPolicy,
        externalTrafficPolicy: row.externalTrafficPolicy,
        ports: [{ name: 'p', port: 80, ...(external ? { nodePort: 30080 } : {}) }],
      },
    },
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { namespace: 'ns', name: 'svc-1', labels: { 'kubernetes.io/service-name': 'svc' } },
      addressType: 'IPv4',
      ports: [{ name: 'p', port: 80 }],
      endpoints: row.endpoints.map(({ endpoint, ready, serving, terminating, local, zoneHints, nodeHints }) => ({
        addresses: [endpoint.split(':')[0]],
        conditions: { ready, serving, terminating },
        nodeName: local ? nodeName : 'elsewhere',
        hints: {
          forZones: zoneHints?.map((name) => ({ name })) ?? [],
          forNodes: nodeHints?.map((name) => ({ name })) ?? [],
        },
      })),
    },
  ];
}

for (const mode of ['iptables', 'nftables'] as const) {
  for (const row of ENDPOINT_ROWS) {
    t.test(`${mode}: ${row.name}`, (t) => {
      const text = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objectsOf(row) });
      const node = new OfflineNode(readObjects([{ name: 'row', text }]), mode);
      const { cluster, local, hasAnyEndpoints } = row.expect;
      const check = (from: string, to: string, toPort: number, policy: 'Cluster' | 'Local'): void => {
        const endpoints = (policy === 'Local' ? local : cluster) ?? [];
        const verdict = endpoints.length > 0 ? 'DNAT' : hasAnyEndpoints ? 'DROP' : 'REJECT';
        const answer = node.explain({ from, to, toPort, protocol: 'tcp' });
        t.same(differences({ verdict, endpoints }, answer), [], `${to} from ${from}`);
      };
      check('10.0.0.2', '172.30.0.1', 80, row.internalTrafficPolicy);
      if (row.externallyAccessible) check('203.0.113.2', NODE_IP, 30080, row.externalTrafficPolicy);
      node.close();
      t.end();
    });
  }
}
