import t from 'tap';
import type { Container, Pod } from '../../../src/api/core-v1.ts';
import { PODS, RUNTIMECLASSES } from '../../../src/api/resources.ts';
import { apiWorld, pod, refused } from '../../support/api.ts';

const c = (extra: Partial<Container> = {}): Container => ({ name: 'c', image: 'nginx', ...extra });

t.test('defaults of a Pod', async (t) => {
  const { client } = await apiWorld(t);
  const made = await client.create(
    PODS,
    pod('a', {
      containers: [c({ ports: [{ containerPort: 80 }], readinessProbe: { httpGet: { port: 80 } } })],
      automountServiceAccountToken: false,
    }),
  );
  t.same(made.spec, {
    containers: [
      {
        name: 'c',
        image: 'nginx',
        ports: [{ containerPort: 80, protocol: 'TCP' }],
        readinessProbe: {
          httpGet: { port: 80, path: '/', scheme: 'HTTP' },
          timeoutSeconds: 1,
          periodSeconds: 10,
          successThreshold: 1,
          failureThreshold: 3,
        },
        resources: {},
        terminationMessagePath: '/dev/termination-log',
        terminationMessagePolicy: 'File',
        imagePullPolicy: 'Always',
      },
    ],
    enableServiceLinks: true,
    restartPolicy: 'Always',
    terminationGracePeriodSeconds: 30,
    dnsPolicy: 'ClusterFirst',
    securityContext: {},
    schedulerName: 'default-scheduler',
    automountServiceAccountToken: false,
    serviceAccountName: 'default',
    serviceAccount: 'default',
    priority: 0,
    preemptionPolicy: 'PreemptLowerPriority',
    tolerations: [
      { key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 300 },
      { key: 'node.kubernetes.io/unreachable', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 300 },
    ],
  });
  t.same(made.status, { phase: 'Pending', qosClass: 'BestEffort' });
});

t.test('the pull policy follows the tag', async (t) => {
  const { client } = await apiWorld(t);
  const images = {
    nginx: 'Always',
    'nginx:latest': 'Always',
    'nginx:1.27': 'IfNotPresent',
    'host:5000/nginx': 'Always',
    'host:5000/a/b:v1': 'IfNotPresent',
    'nginx@sha256:00': 'IfNotPresent',
  };
  let i = 0;
  for (const [image, policy] of Object.entries(images)) {
    const made = await client.create(PODS, pod(`p${i++}`, { containers: [c({ image })] }));
    t.equal(made.spec.containers[0]!.imagePullPolicy, policy, image);
  }
});

t.test('limits become requests, and both decide the class of service', async (t) => {
  const { client } = await apiWorld(t);
  const cases: [Container['resources'], Pod['status']][] = [
    [{}, { qosClass: 'BestEffort' }],
    [{ requests: { cpu: '100m' } }, { qosClass: 'Burstable' }],
    [{ limits: { cpu: '1', memory: '1Gi' } }, { qosClass: 'Guaranteed' }],
    [{ limits: { cpu: '1', memory: '1Gi' }, requests: { cpu: '1000m' } }, { qosClass: 'Guaranteed' }],
    [{ limits: { cpu: '1', memory: '1Gi' }, requests: { cpu: '500m' } }, { qosClass: 'Burstable' }],
    [{ limits: { cpu: '1' } }, { qosClass: 'Burstable' }],
  ];
  for (const [i, [resources, status]] of cases.entries()) {
    const made = await client.create(PODS, pod(`p${i}`, { containers: [c({ resources: resources! })] }));
    t.match(made.status, status!);
  }
  const made = await client.create(
    PODS,
    pod('x', { containers: [c({ resources: { limits: { cpu: '1', memory: '1Gi' } } })] }),
  );
  t.same(made.spec.containers[0]!.resources!.requests, { cpu: '1', memory: '1Gi' });
});

t.test('validation, in the real server’s words', async (t) => {
  const { client } = await apiWorld(t);
  const label =
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
  const cases: [Partial<Pod['spec']>, string][] = [
    [{ containers: [] }, 'spec.containers: Required value'],
    [{ containers: [{ name: 'c' }] }, 'spec.containers[0].image: Required value'],
    [{ containers: [{ image: 'i' } as Container] }, 'spec.containers[0].name: Required value'],
    [{ containers: [c({ name: 'C' })] }, `spec.containers[0].name: Invalid value: "C": ${label}`],
    [{ containers: [c(), c()] }, 'spec.containers[1].name: Duplicate value: "c"'],
    [
      { containers: [c({ image: ' nginx' })] },
      'spec.containers[0].image: Invalid value: " nginx": must not have leading or trailing whitespace',
    ],
    [
      { containers: [c({ ports: [{ containerPort: 99999 }] })] },
      'spec.containers[0].ports[0].containerPort: Invalid value: 99999: must be between 1 and 65535, inclusive',
    ],
    [
      { containers: [c({ ports: [{ name: 'http' } as never] })] },
      'spec.containers[0].ports[0].containerPort: Required value',
    ],
    [
      {
        containers: [
          c({
            ports: [
              { name: 'a', containerPort: 1 },
              { name: 'a', containerPort: 2 },
            ],
          }),
        ],
      },
      'spec.containers[0].ports[1].name: Duplicate value: "a"',
    ],
    [
      { containers: [c({ ports: [{ name: 'this-name-is-too-long', containerPort: 1 }] })] },
      'spec.containers[0].ports[0].name: Invalid value: "this-name-is-too-long": must be no more than 15 characters',
    ],
    [
      { containers: [c({ imagePullPolicy: 'Sometimes' as 'Always' })] },
      'spec.containers[0].imagePullPolicy: Unsupported value: "Sometimes": supported values: "Always", "IfNotPresent", "Never"',
    ],
    [
      { restartPolicy: 'Sometimes' as 'Always' },
      'spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"',
    ],
    [
      { dnsPolicy: 'Foo' as 'None' },
      'spec.dnsPolicy: Unsupported value: "Foo": supported values: "ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"',
    ],
    [
      { dnsPolicy: 'None', dnsConfig: {} },
      'spec.dnsConfig.nameservers: Required value: must provide at least one DNS nameserver when `dnsPolicy` is None',
    ],
    [
      { dnsConfig: { nameservers: ['1.1.1.1', '1.1.1.2', '1.1.1.3', '1.1.1.4'] } },
      'spec.dnsConfig.nameservers: Invalid value: ["1.1.1.1","1.1.1.2","1.1.1.3","1.1.1.4"]: must not have more than 3 nameservers',
    ],
    [
      { dnsConfig: { nameservers: ['dns'] } },
      'spec.dnsConfig.nameservers[0]: Invalid value: "dns": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
    ],
    [{ hostname: 'A' }, `spec.hostname: Invalid value: "A": ${label}`],
    [
      { terminationGracePeriodSeconds: -1 },
      'spec.terminationGracePeriodSeconds: Invalid value: -1: must be greater than or equal to 0',
    ],
    [
      { containers: [c({ volumeMounts: [{ name: 'v', mountPath: '/v' }] })] },
      'spec.containers[0].volumeMounts[0].name: Not found: "v"',
    ],
    [
      {
        volumes: [{ name: 'v' }],
        containers: [
          c({
            volumeMounts: [
              { name: 'v', mountPath: '/v' },
              { name: 'v', mountPath: '/v' },
            ],
          }),
        ],
      },
      'spec.containers[0].volumeMounts[1].mountPath: Invalid value: "/v": must be unique',
    ],
    [
      { volumes: [{ name: 'v', emptyDir: {}, hostPath: { path: '/' } }] },
      'spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type',
    ],
    [
      { containers: [c({ readinessProbe: {} })] },
      'spec.containers[0].readinessProbe: Required value: must specify a handler type',
    ],
    [
      { containers: [c({ livenessProbe: { tcpSocket: { port: 80 }, successThreshold: 2 } })] },
      'spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1',
    ],
    [
      { containers: [c({ resources: { requests: { cpu: '2' }, limits: { cpu: '1' } } })] },
      'spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1',
    ],
    [
      { initContainers: [c({ name: 'i', readinessProbe: { tcpSocket: { port: 1 } } })] },
      'spec.initContainers[0].readinessProbe: Forbidden: may not be set for init containers without restartPolicy=Always',
    ],
  ];
  for (const [spec, why] of cases)
    await refused(t, client.create(PODS, pod('p', spec)), 422, `Pod "p" is invalid: ${why}`);
});

t.test('of a Pod that exists only a few fields may change', async (t) => {
  const { client } = await apiWorld(t);
  const made = await client.create(PODS, pod('p', { nodeName: 'n1' }));
  const to = (spec: object) => client.patch(PODS, 'default', 'p', 'strategic', { spec });
  const image = await to({ containers: [{ name: 'c', image: 'nginx:2' }] });
  t.same([image.spec.containers[0]!.image, image.metadata.generation], ['nginx:2', 2]);
  await to({ activeDeadlineSeconds: 100 });
  await refused(
    t,
    to({ activeDeadlineSeconds: 200 }),
    422,
    'Pod "p" is invalid: spec.activeDeadlineSeconds: Invalid value: 200: must be less than or equal to previous value',
  );
  const tolerations = [...made.spec.tolerations!, { key: 'x', operator: 'Exists' }];
  t.equal((await to({ tolerations })).spec.tolerations!.length, 3);
  await refused(
    t,
    to({ tolerations: [] }),
    422,
    'Pod "p" is invalid: spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds',
  );
  const fixed =
    'Pod "p" is invalid: spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n';
  await refused(t, to({ nodeName: 'n2' }), 422, `${fixed}- spec.nodeName: "n1"\n+ spec.nodeName: "n2"`);
  await refused(t, to({ containers: [{ name: 'c', args: ['x'] }] }), 422, `${fixed}+ spec.containers[0].args: ["x"]`);
  await refused(
    t,
    to({ containers: [{ name: 'd', image: 'i' }] }),
    422,
    'Pod "p" is invalid: spec.containers: Forbidden: pod updates may not add or remove containers',
  );
  t.equal(
    (await client.patch(PODS, 'default', 'p', 'merge', { metadata: { labels: { a: 'b' } } })).metadata.labels!['a'],
    'b',
  );
});

t.test('admission: runtime classes, priorities, tolerations', async (t) => {
  const { client } = await apiWorld(t);
  await refused(
    t,
    client.create(PODS, pod('p', { runtimeClassName: 'foo' })),
    403,
    'pods "p" is forbidden: pod rejected: RuntimeClass "foo" not found',
  );
  await client.create(RUNTIMECLASSES, {
    apiVersion: 'node.k8s.io/v1',
    kind: 'RuntimeClass',
    metadata: { name: 'foo' },
    handler: 'netns',
  });
  await client.create(PODS, pod('p', { runtimeClassName: 'foo' }));
  t.equal(
    (await client.create(PODS, pod('q', { priorityClassName: 'system-cluster-critical' }))).spec.priority,
    2_000_000_000,
  );
  await refused(
    t,
    client.create(PODS, pod('r', { priorityClassName: 'high' })),
    403,
    'pods "r" is forbidden: no PriorityClass with name high was found',
  );
  const all = await client.create(PODS, pod('s', { tolerations: [{ operator: 'Exists' }] }));
  t.equal(all.spec.tolerations!.length, 1);
});
