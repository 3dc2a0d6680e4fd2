import t from 'tap';
import type { Container, Pod, Service } from '../../../src/api/core-v1.ts';
import { containerEnvironment } from '../../../src/node/kubelet/environment.ts';
import { serviceLinks } from '../../../src/node/kubelet/service-links.ts';

const FACTS = {
  hostname: 'p',
  podIP: '10.244.0.2',
  hostIP: '192.168.49.2',
  allocatable: { cpu: '2', memory: '4096Ki' },
};
const SOURCES = {
  configMaps: new Map([['settings', { colour: 'blue', 'log.level': 'info' }]]),
  secrets: new Map([['login', { password: 's3cret' }]]),
};

function environment(container: Partial<Container>, sources = SOURCES): Record<string, string> {
  const whole: Container = { name: 'c', ...container };
  const pod: Pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', namespace: 'ns', labels: { tier: 'front' } },
    spec: { containers: [whole, { name: 'other', resources: { limits: { cpu: '250m' } } }] },
  };
  return containerEnvironment(pod, whole, { LANG: 'C' }, {}, FACTS, sources);
}

const from = (valueFrom: object) => environment({ env: [{ name: 'X', valueFrom }] })['X'];

t.test('values from fields, resources, ConfigMaps and Secrets', async (t) => {
  t.equal(from({ fieldRef: { fieldPath: 'metadata.namespace' } }), 'ns');
  t.equal(from({ fieldRef: { fieldPath: "metadata.labels['tier']" } }), 'front');
  t.equal(from({ fieldRef: { fieldPath: 'status.hostIP' } }), '192.168.49.2');
  t.equal(from({ configMapKeyRef: { name: 'settings', key: 'colour' } }), 'blue');
  t.equal(from({ secretKeyRef: { name: 'login', key: 'password' } }), 's3cret');
  t.equal(from({ resourceFieldRef: { containerName: 'other', resource: 'limits.cpu' } }), '1', 'rounded up');
  t.equal(from({ resourceFieldRef: { containerName: 'other', resource: 'limits.cpu', divisor: '1m' } }), '250');
  t.equal(from({ resourceFieldRef: { resource: 'limits.memory', divisor: '1Mi' } }), '4', 'no limit: all of the Node');
  t.equal(from({ resourceFieldRef: { resource: 'requests.memory' } }), '0');
});

t.test('what is missing', async (t) => {
  const missing = (valueFrom: object) => () => from(valueFrom);
  t.throws(missing({ configMapKeyRef: { name: 'no', key: 'k' } }), { message: 'configmap "no" not found' });
  t.throws(missing({ secretKeyRef: { name: 'no', key: 'k' } }), { message: 'secret "no" not found' });
  t.throws(missing({ configMapKeyRef: { name: 'settings', key: 'k' } }), {
    message: "couldn't find key k in ConfigMap ns/settings",
  });
  t.throws(missing({ secretKeyRef: { name: 'login', key: 'k' } }), {
    message: "couldn't find key k in Secret ns/login",
  });
  t.equal(from({ configMapKeyRef: { name: 'no', key: 'k', optional: true } }), undefined);
  t.throws(() => environment({ envFrom: [{ configMapRef: { name: 'no' } }] }), { message: 'configmap "no" not found' });
  t.ok(environment({ envFrom: [{ secretRef: { name: 'no', optional: true } }] }));
});

t.test('envFrom with a prefix, below env; the image below both', async (t) => {
  const env = environment({
    envFrom: [{ prefix: 'S_', configMapRef: { name: 'settings' } }, { secretRef: { name: 'login' } }],
    env: [
      { name: 'S_colour', value: 'red' },
      { name: 'BOTH', value: '$(S_colour) $(password) $(LANG) $(NONE)' },
    ],
  });
  t.match(env, { LANG: 'C', S_colour: 'red', 'S_log.level': 'info', BOTH: 'red s3cret C $(NONE)' });
});

function service(namespace: string, name: string, spec: Service['spec']): Service {
  return { apiVersion: 'v1', kind: 'Service', metadata: { name, namespace }, spec };
}

const SERVICES = [
  service('default', 'kubernetes', { clusterIP: '10.96.0.1', ports: [{ name: 'https', port: 443, protocol: 'TCP' }] }),
  service('default', 'db', { clusterIP: '10.96.0.7', ports: [{ port: 5432 }] }),
  service('ns', 'my-web', {
    clusterIP: '10.96.0.5',
    ports: [
      { name: 'http', port: 80, protocol: 'TCP' },
      { name: 'dns-udp', port: 53, protocol: 'UDP' },
    ],
  }),
  service('ns', 'headless', { clusterIP: 'None', ports: [{ port: 80 }] }),
  service('ns', 'elsewhere', { type: 'ExternalName', externalName: 'example.com' }),
];

t.test('Services of the namespace, and the API, as variables', async (t) => {
  t.same(serviceLinks(SERVICES, 'ns', true), {
    KUBERNETES_SERVICE_HOST: '10.96.0.1',
    KUBERNETES_SERVICE_PORT: '443',
    KUBERNETES_SERVICE_PORT_HTTPS: '443',
    KUBERNETES_PORT: 'tcp://10.96.0.1:443',
    KUBERNETES_PORT_443_TCP: 'tcp://10.96.0.1:443',
    KUBERNETES_PORT_443_TCP_PROTO: 'tcp',
    KUBERNETES_PORT_443_TCP_PORT: '443',
    KUBERNETES_PORT_443_TCP_ADDR: '10.96.0.1',
    MY_WEB_SERVICE_HOST: '10.96.0.5',
    MY_WEB_SERVICE_PORT: '80',
    MY_WEB_SERVICE_PORT_HTTP: '80',
    MY_WEB_SERVICE_PORT_DNS_UDP: '53',
    MY_WEB_PORT: 'tcp://10.96.0.5:80',
    MY_WEB_PORT_80_TCP: 'tcp://10.96.0.5:80',
    MY_WEB_PORT_80_TCP_PROTO: 'tcp',
    MY_WEB_PORT_80_TCP_PORT: '80',
    MY_WEB_PORT_80_TCP_ADDR: '10.96.0.5',
    MY_WEB_PORT_53_UDP: 'udp://10.96.0.5:53',
    MY_WEB_PORT_53_UDP_PROTO: 'udp',
    MY_WEB_PORT_53_UDP_PORT: '53',
    MY_WEB_PORT_53_UDP_ADDR: '10.96.0.5',
  });
  t.same(
    Object.keys(serviceLinks(SERVICES, 'ns', false)).filter((name) => !name.startsWith('KUBERNETES')),
    [],
    'enableServiceLinks: false leaves the API',
  );
});
