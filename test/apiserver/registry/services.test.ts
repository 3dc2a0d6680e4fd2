import t from 'tap';
import type { Service } from '../../../src/api/core-v1.ts';
import { SERVICES } from '../../../src/api/resources.ts';
import { parseIPv4 } from '../../../src/apiserver/allocation/ip-allocator.ts';
import { ApiServer } from '../../../src/apiserver/apiserver.ts';
import { MemoryStore } from '../../../src/apiserver/storage/memory.ts';
import { apiWorld, refused, service } from '../../support/api.ts';

const invalid = (name: string, why: string) => `Service "${name}" is invalid: ${why}`;

t.test('defaults of each type', async (t) => {
  const { client } = await apiWorld(t);
  const plain = await client.create(SERVICES, service('web', { clusterIP: '10.96.0.50' }));
  t.same(plain.spec, {
    selector: { app: 'web' },
    ports: [{ port: 80, protocol: 'TCP', targetPort: 80 }],
    sessionAffinity: 'None',
    type: 'ClusterIP',
    internalTrafficPolicy: 'Cluster',
    clusterIP: '10.96.0.50',
    clusterIPs: ['10.96.0.50'],
    ipFamilies: ['IPv4'],
    ipFamilyPolicy: 'SingleStack',
  });
  t.same(plain.status, { loadBalancer: {} });
  t.equal(plain.metadata.generation, undefined);
  const balanced = await client.create(
    SERVICES,
    service('lb', {
      type: 'LoadBalancer',
      sessionAffinity: 'ClientIP',
      ports: [{ port: 80, nodePort: 31260, targetPort: 'http' }],
    }),
  );
  const { clusterIP, ...rest } = balanced.spec;
  t.same(rest, {
    selector: { app: 'lb' },
    type: 'LoadBalancer',
    sessionAffinity: 'ClientIP',
    sessionAffinityConfig: { clientIP: { timeoutSeconds: 10800 } },
    ports: [{ port: 80, nodePort: 31260, targetPort: 'http', protocol: 'TCP' }],
    externalTrafficPolicy: 'Cluster',
    internalTrafficPolicy: 'Cluster',
    allocateLoadBalancerNodePorts: true,
    clusterIPs: [clusterIP],
    ipFamilies: ['IPv4'],
    ipFamilyPolicy: 'SingleStack',
  });
  const external = await client.create(
    SERVICES,
    service('ext', { type: 'ExternalName', externalName: 'example.com', ports: [] }),
  );
  t.same(external.spec, {
    selector: { app: 'ext' },
    type: 'ExternalName',
    externalName: 'example.com',
    ports: [],
    sessionAffinity: 'None',
  });
  const headless = await client.create(SERVICES, service('db', { clusterIP: 'None' }));
  t.same([headless.spec.clusterIP, headless.spec.clusterIPs, headless.spec.ipFamilies], ['None', ['None'], ['IPv4']]);
  const { selector: _, ...selectorless } = service('bare', { clusterIP: 'None' }).spec;
  const bare = await client.create(SERVICES, { ...service('bare'), spec: selectorless });
  t.same([bare.spec.ipFamilyPolicy, bare.spec.ipFamilies], ['RequireDualStack', ['IPv4', 'IPv6']]);
});

t.test('addresses and ports that nobody asked for come from above the static band', async (t) => {
  const { client } = await apiWorld(t);
  const seen = new Set<string>();
  for (let i = 0; i < 50; i++) {
    const made = await client.create(SERVICES, service(`s${i}`, { type: 'NodePort' }));
    const ip = parseIPv4(made.spec.clusterIP!)!;
    t.ok(ip >= parseIPv4('10.96.1.1')! && ip < parseIPv4('10.111.255.255')!, made.spec.clusterIP!);
    const { nodePort } = made.spec.ports![0]!;
    t.ok(nodePort! >= 30086 && nodePort! <= 32767, String(nodePort));
    seen.add(made.spec.clusterIP!).add(String(nodePort));
  }
  t.equal(seen.size, 100);
});

t.test('given addresses and ports are respected, collisions and strangers refused', async (t) => {
  const { client } = await apiWorld(t);
  const dns = await client.create(
    SERVICES,
    service('kube-dns', { clusterIP: '10.96.0.10', type: 'NodePort', ports: [{ port: 80, nodePort: 30000 }] }),
  );
  t.equal(dns.spec.clusterIP, '10.96.0.10');
  const cases: [string, Partial<Service['spec']>, string][] = [
    [
      'a',
      { clusterIP: '10.96.0.10' },
      'spec.clusterIPs: Invalid value: ["10.96.0.10"]: failed to allocate IP 10.96.0.10: provided IP is already allocated',
    ],
    [
      'b',
      { clusterIP: '192.168.1.1' },
      'spec.clusterIPs: Invalid value: ["192.168.1.1"]: failed to allocate IP 192.168.1.1: the provided IP (192.168.1.1) is not in the valid range. The range of valid IPs is 10.96.0.0/12',
    ],
    [
      'c',
      { clusterIP: '10.96.0.0' },
      'spec.clusterIPs: Invalid value: ["10.96.0.0"]: failed to allocate IP 10.96.0.0: the provided IP (10.96.0.0) is not in the valid range. The range of valid IPs is 10.96.0.0/12',
    ],
    [
      'd',
      { type: 'NodePort', ports: [{ port: 80, nodePort: 30000 }] },
      'spec.ports[0].nodePort: Invalid value: 30000: provided port is already allocated',
    ],
    [
      'e',
      { type: 'NodePort', ports: [{ port: 80, nodePort: 80 }] },
      'spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-32767',
    ],
    [
      'f',
      { clusterIP: 'abc' },
      'spec.clusterIPs[0]: Invalid value: "abc": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
    ],
    [
      'g',
      { ipFamilyPolicy: 'RequireDualStack' },
      'spec.ipFamilyPolicy: Invalid value: "RequireDualStack": this cluster is not configured for dual-stack services',
    ],
    ['h', { ipFamilies: ['IPv6'] }, 'spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster'],
  ];
  for (const [name, spec, why] of cases)
    await refused(t, client.create(SERVICES, service(name, spec)), 422, invalid(name, why));
});

t.test('a refused Service keeps nothing of what it had taken', async (t) => {
  const { client } = await apiWorld(t);
  await client.create(SERVICES, service('a', { type: 'NodePort', ports: [{ port: 80, nodePort: 31000 }] }));
  const greedy = {
    clusterIP: '10.96.0.77',
    type: 'NodePort',
    ports: [
      { name: 'x', port: 81, nodePort: 31001 },
      { name: 'y', port: 80, nodePort: 31000 },
    ],
  } as const;
  await refused(
    t,
    client.create(SERVICES, service('b', { ...greedy, ports: [...greedy.ports] })),
    422,
    invalid('b', 'spec.ports[1].nodePort: Invalid value: 31000: provided port is already allocated'),
  );
  await refused(
    t,
    client.create(SERVICES, service('a', { clusterIP: '10.96.0.77' })),
    409,
    'services "a" already exists',
  );
  const c = await client.create(
    SERVICES,
    service('c', { clusterIP: '10.96.0.77', type: 'NodePort', ports: [{ port: 81, nodePort: 31001 }] }),
  );
  t.same([c.spec.clusterIP, c.spec.ports![0]!.nodePort], ['10.96.0.77', 31001]);
});

t.test('a deleted Service frees its address and ports at once', async (t) => {
  const { client } = await apiWorld(t);
  const spec = { clusterIP: '10.96.0.99', type: 'NodePort', ports: [{ port: 80, nodePort: 30500 }] } as const;
  for (const name of ['a', 'b', 'c']) {
    await client.create(SERVICES, service(name, { ...spec, ports: [...spec.ports] }));
    await client.delete(SERVICES, 'default', name);
  }
  t.pass();
});

t.test('TCP and UDP of one port share a nodePort', async (t) => {
  const { client } = await apiWorld(t);
  const ports = [
    { name: 'dns', port: 53, protocol: 'UDP' as const },
    { name: 'dns-tcp', port: 53, protocol: 'TCP' as const },
    { name: 'metrics', port: 9153 },
  ];
  const made = await client.create(SERVICES, service('dns', { type: 'NodePort', ports }));
  const [udp, tcp, metrics] = made.spec.ports!.map((p) => p.nodePort);
  t.equal(udp, tcp);
  t.not(udp, metrics);
});

t.test('validation, in the real server’s words', async (t) => {
  const { client } = await apiWorld(t);
  const number = 'must be between 1 and 65535, inclusive';
  const cases: [Partial<Service['spec']>, string][] = [
    [{ ports: [] }, 'spec.ports: Required value'],
    [
      { ports: [{ port: 0 }] },
      `[spec.ports[0].port: Invalid value: 0: ${number}, spec.ports[0].targetPort: Invalid value: 0: ${number}]`,
    ],
    [
      { ports: [{ port: 70000 }] },
      `[spec.ports[0].port: Invalid value: 70000: ${number}, spec.ports[0].targetPort: Invalid value: 70000: ${number}]`,
    ],
    [
      { ports: [{ port: 80 }, { port: 81 }] },
      '[spec.ports[0].name: Required value, spec.ports[1].name: Required value]',
    ],
    [
      {
        ports: [
          { name: 'a', port: 80 },
          { name: 'b', port: 80 },
        ],
      },
      'spec.ports[1]: Duplicate value: {"Name":"","Protocol":"TCP","AppProtocol":null,"Port":80,"TargetPort":0,"NodePort":0}',
    ],
    [
      {
        ports: [
          { name: 'a', port: 80 },
          { name: 'a', port: 81 },
        ],
      },
      'spec.ports[1].name: Duplicate value: "a"',
    ],
    [
      { ports: [{ port: 80, protocol: 'ICMP' as 'TCP' }] },
      'spec.ports[0].protocol: Unsupported value: "ICMP": supported values: "SCTP", "TCP", "UDP"',
    ],
    [
      { ports: [{ port: 80, nodePort: 30001 }] },
      "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
    ],
    [
      { ports: [{ port: 80, targetPort: 'a_b' }] },
      'spec.ports[0].targetPort: Invalid value: "a_b": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)',
    ],
    [
      { type: 'Foo' as 'NodePort' },
      'spec.type: Unsupported value: "Foo": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort"',
    ],
    [
      { type: 'NodePort', clusterIP: 'None' },
      `spec.clusterIPs[0]: Invalid value: "None": may not be set to 'None' for NodePort services`,
    ],
    [{ type: 'ExternalName' }, 'spec.externalName: Required value'],
    [
      { sessionAffinity: 'Foo' as 'None' },
      'spec.sessionAffinity: Unsupported value: "Foo": supported values: "ClientIP", "None"',
    ],
    [
      { sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 90000 } } },
      'spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 90000: must be greater than 0 and less than 86400',
    ],
    [
      { externalIPs: ['127.0.0.1'] },
      'spec.externalIPs[0]: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)',
    ],
    [
      { externalTrafficPolicy: 'Local' },
      'spec.externalTrafficPolicy: Invalid value: "Local": may only be set for externally-accessible services',
    ],
    [
      { internalTrafficPolicy: 'Foo' as 'Local' },
      'spec.internalTrafficPolicy: Unsupported value: "Foo": supported values: "Cluster", "Local"',
    ],
    [
      { loadBalancerSourceRanges: ['10.0.0.0/8'] },
      "spec.loadBalancerSourceRanges: Forbidden: may only be used when `type` is 'LoadBalancer'",
    ],
  ];
  for (const [spec, why] of cases)
    await refused(t, client.create(SERVICES, service('web', spec)), 422, invalid('web', why));
  await refused(
    t,
    client.create(SERVICES, service('9web')),
    422,
    invalid(
      '9web',
      `metadata.name: Invalid value: "9web": a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')`,
    ),
  );
});

t.test('the ClusterIP does not change, and need not be repeated', async (t) => {
  const { client } = await apiWorld(t);
  const made = await client.create(SERVICES, service('web', { type: 'NodePort' }));
  const again = await client.update(SERVICES, service('web', { type: 'NodePort', ports: [{ port: 8080 }] }));
  t.equal(again.spec.clusterIP, made.spec.clusterIP);
  t.equal(again.spec.ports![0]!.nodePort, made.spec.ports![0]!.nodePort, 'nor the nodePort');
  await refused(
    t,
    client.patch(SERVICES, 'default', 'web', 'merge', { spec: { clusterIP: '10.96.0.88' } }),
    422,
    invalid('web', 'spec.clusterIPs[0]: Invalid value: ["10.96.0.88"]: may not change once set'),
  );
  await refused(
    t,
    client.patch(SERVICES, 'default', 'web', 'merge', { spec: { clusterIP: 'None', type: 'ClusterIP' } }),
    422,
    invalid('web', 'spec.clusterIPs[0]: Invalid value: ["None"]: may not change once set'),
  );
});

t.test('fields come and go with the type', async (t) => {
  const { client } = await apiWorld(t);
  const to = (spec: object) => client.patch(SERVICES, 'default', 'web', 'merge', { spec });
  const made = await client.create(SERVICES, service('web', { type: 'LoadBalancer', externalTrafficPolicy: 'Local' }));
  const { healthCheckNodePort, clusterIP } = made.spec;
  const nodePort = made.spec.ports![0]!.nodePort!;
  t.ok(healthCheckNodePort! >= 30000 && healthCheckNodePort !== nodePort);
  await client.update(SERVICES, { ...made, status: { loadBalancer: { ingress: [{ ip: '1.2.3.4' }] } } }, 'status');
  const cluster = await to({ type: 'ClusterIP' });
  t.same(
    [
      cluster.spec.healthCheckNodePort,
      cluster.spec.externalTrafficPolicy,
      cluster.spec.allocateLoadBalancerNodePorts,
      cluster.spec.ports![0]!.nodePort,
      cluster.spec.clusterIP,
      cluster.status,
    ],
    [undefined, undefined, undefined, undefined, clusterIP, { loadBalancer: {} }],
  );
  const other = await client.create(SERVICES, service('other', { type: 'NodePort', ports: [{ port: 80, nodePort }] }));
  t.equal(other.spec.ports![0]!.nodePort, nodePort, 'the port was free again');
  const external = await to({ type: 'ExternalName', externalName: 'example.com' });
  t.same(
    [external.spec.clusterIP, external.spec.clusterIPs, external.spec.ipFamilies],
    [undefined, undefined, undefined],
  );
  await client.create(SERVICES, service('third', { clusterIP: clusterIP! }));
  const back = await to({ type: 'ClusterIP', externalName: null });
  t.match(back.spec.clusterIP, /^10\./);
  t.not(back.spec.clusterIP, clusterIP);
});

t.test('a server that starts on a filled store knows what is taken', async (t) => {
  const store = new MemoryStore();
  const first = await apiWorld(t, { store });
  const made = await first.client.create(SERVICES, service('a', { type: 'NodePort' }));
  const clock = first.clock;
  const second = new ApiServer({ clock, rng: { u32: () => 1, below: () => 0, float: () => 0 }, store });
  t.teardown(() => second.close());
  const client = second.client();
  await refused(
    t,
    client.create(SERVICES, service('b', { clusterIP: made.spec.clusterIP! })),
    422,
    invalid(
      'b',
      `spec.clusterIPs: Invalid value: ["${made.spec.clusterIP}"]: failed to allocate IP ${made.spec.clusterIP}: provided IP is already allocated`,
    ),
  );
  const nodePort = made.spec.ports![0]!.nodePort!;
  await refused(
    t,
    client.create(SERVICES, service('b', { type: 'NodePort', ports: [{ port: 80, nodePort }] })),
    422,
    invalid('b', `spec.ports[0].nodePort: Invalid value: ${nodePort}: provided port is already allocated`),
  );
});

t.test('a dry run takes nothing', async (t) => {
  const { client, server } = await apiWorld(t);
  const registry = await server.registry(SERVICES);
  const wanted = service('a', { clusterIP: '10.96.0.60' });
  const user = { name: 'u', groups: [] };
  for (let i = 0; i < 2; i++)
    t.equal((await registry.create(wanted, { user, dryRun: true })).spec.clusterIP, '10.96.0.60');
  t.ok((await registry.create(service('b'), { user, dryRun: true })).spec.clusterIP);
  await client.create(SERVICES, wanted);
});
