import t from 'tap';
import type { EndpointSubset, Pod, Service } from '../../../src/api/core-v1.ts';
import { findPort } from '../../../src/controller/endpoints/membership.ts';
import { endpointSubsets, truncateSubsets } from '../../../src/controller/endpoints/subsets.ts';
import { container, pod, service } from '../../support/control-plane.ts';

interface Shape {
  ready?: boolean;
  terminating?: boolean;
  phase?: 'Running' | 'Succeeded' | 'Failed';
  spec?: Partial<Pod['spec']>;
}

function running(
  name: string,
  ip: string,
  { ready = true, terminating = false, phase = 'Running', spec = {} }: Shape = {},
): Pod {
  const p = pod(name, { nodeName: 'node-1', ...spec });
  p.metadata.uid = `uid-${name}`;
  if (terminating) p.metadata.deletionTimestamp = '2026-01-01T00:00:00Z';
  p.status = {
    phase,
    conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
    ...(ip ? { podIP: ip, podIPs: [{ ip }] } : {}),
  };
  return p;
}

const ips = (list: EndpointSubset['addresses']) => (list ?? []).map((a) => a.ip);

t.test('ready and unready addresses, sorted as text', async (t) => {
  const pods = [running('c', '10.0.0.9'), running('a', '10.0.0.10'), running('b', '10.0.0.2', { ready: false })];
  const [subset, ...rest] = endpointSubsets(service(), pods);
  t.equal(rest.length, 0);
  t.same(ips(subset!.addresses), ['10.0.0.10', '10.0.0.9']);
  t.same(ips(subset!.notReadyAddresses), ['10.0.0.2']);
  t.same(subset!.ports, [{ port: 80, protocol: 'TCP' }]);
  t.same(subset!.addresses![0], {
    ip: '10.0.0.10',
    nodeName: 'node-1',
    targetRef: { kind: 'Pod', namespace: 'default', name: 'a', uid: 'uid-a' },
  });
});

t.test('Pods without an address, finished or terminating are left out', async (t) => {
  const pods = [
    running('a', ''),
    running('b', '10.0.0.2', { phase: 'Succeeded' }),
    running('c', '10.0.0.3', { phase: 'Failed' }),
    running('d', '10.0.0.4', { terminating: true }),
  ];
  t.same(endpointSubsets(service(), pods), []);
  const tolerant = endpointSubsets(service({ publishNotReadyAddresses: true }), pods);
  t.same(ips(tolerant[0]!.addresses), ['10.0.0.4'], 'publishNotReadyAddresses keeps the terminating one');
});

t.test('publishNotReadyAddresses makes every address ready', async (t) => {
  const [subset] = endpointSubsets(service({ publishNotReadyAddresses: true }), [
    running('a', '10.0.0.1', { ready: false }),
  ]);
  t.same(ips(subset!.addresses), ['10.0.0.1']);
  t.notOk(subset!.notReadyAddresses);
});

t.test('kube-dns lists its ports as every cluster does: dns-tcp, dns, metrics', async (t) => {
  const s = service({
    ports: [
      { name: 'dns', port: 53, protocol: 'UDP', targetPort: 53 },
      { name: 'dns-tcp', port: 53, protocol: 'TCP', targetPort: 53 },
      { name: 'metrics', port: 9153, protocol: 'TCP', targetPort: 9153 },
    ],
  });
  const [subset] = endpointSubsets(s, [running('a', '10.0.0.1')]);
  t.same(
    subset!.ports!.map((p) => p.name),
    ['dns-tcp', 'dns', 'metrics'],
  );
});

t.test('a named port that resolves differently makes two subsets', async (t) => {
  const s = service({ ports: [{ name: 'web', port: 80, targetPort: 'http' }] });
  const other = { containers: [container({ ports: [{ name: 'http', containerPort: 8080 }] })] };
  const none = { containers: [container({ ports: [] })] };
  const subsets = endpointSubsets(s, [
    running('a', '10.0.0.1'),
    running('b', '10.0.0.2', { spec: other }),
    running('c', '10.0.0.3', { spec: none }),
  ]);
  t.same(
    subsets.map((x) => [ips(x.addresses), x.ports!.map((p) => [p.name, p.port])]).sort(),
    [
      [['10.0.0.1'], [['web', 80]]],
      [['10.0.0.2'], [['web', 8080]]],
    ],
    'and a Pod without the port is in none',
  );
});

t.test('a headless Service without ports has addresses without ports', async (t) => {
  const s: Service = service({ clusterIP: 'None', ports: [] });
  t.same(endpointSubsets(s, [running('a', '10.0.0.1')]), [
    {
      addresses: [
        {
          ip: '10.0.0.1',
          nodeName: 'node-1',
          targetRef: { kind: 'Pod', namespace: 'default', name: 'a', uid: 'uid-a' },
        },
      ],
    },
  ]);
});

t.test("the hostname is published only under the Pod's own subdomain", async (t) => {
  const name = (subdomain: string) =>
    endpointSubsets(service(), [running('a', '10.0.0.1', { spec: { hostname: 'h', subdomain } })])[0]!.addresses![0]!
      .hostname;
  t.equal(name('web'), 'h');
  t.equal(name('other'), undefined);
});

t.test('named ports are found by name and protocol, containers before sidecars', async (t) => {
  const p = pod('a', {
    containers: [container({ ports: [{ name: 'p', containerPort: 1, protocol: 'UDP' }] })],
    initContainers: [
      container({ name: 'i', ports: [{ name: 'p', containerPort: 2 }] }),
      container({ name: 's', restartPolicy: 'Always', ports: [{ name: 'p', containerPort: 3 }] }),
    ],
  });
  t.equal(findPort(p, { port: 9, targetPort: 'p', protocol: 'UDP' }), 1);
  t.equal(findPort(p, { port: 9, targetPort: 'p' }), 3);
  t.equal(findPort(p, { port: 9, targetPort: 'q' }), undefined);
  t.equal(findPort(p, { port: 9, targetPort: 7 }), 7);
  t.equal(findPort(p, { port: 9 }), 9);
});

t.test('beyond 1,000 addresses ready ones are kept first, shared in proportion', async (t) => {
  const list = (n: number) => Array.from({ length: n }, (_, i) => ({ ip: `10.0.${i >> 8}.${i & 255}` }));
  t.equal(truncateSubsets([{ addresses: list(1000) }]), undefined);
  const sizes = (subsets: EndpointSubset[]) =>
    truncateSubsets(subsets)!.map((s) => [s.addresses?.length ?? 0, s.notReadyAddresses?.length ?? 0]);
  t.same(sizes([{ addresses: list(900), notReadyAddresses: list(400) }]), [[900, 100]]);
  t.same(sizes([{ addresses: list(1500) }, { addresses: list(500), notReadyAddresses: list(9) }]), [
    [750, 0],
    [250, 0],
  ]);
});
