// The subresource proxy, before a real HTTP server that stands for the Pod's.
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import t, { type Test } from 'tap';
import { ENDPOINTS, NODES, PODS, SERVICES } from '../../../src/api/resources.ts';
import type { PodBackend } from '../../../src/apiserver/streaming/pod-backend.ts';
import { HttpsApi, NO_NODES } from '../../support/https-api.ts';

const NAMESPACE = '/api/v1/namespaces/default';
const POD_PORT = 8080;
const NODE_PORT = 10249;

interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
}

/** A Pod `web` that serves on 8080, and Services before it. */
async function withPod(t: Test): Promise<{ api: HttpsApi; seen: Seen[] }> {
  const seen: Seen[] = [];
  const server = createServer((request, response) => {
    const { method = '', url = '', headers } = request;
    seen.push({ method, url, headers });
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () =>
      response.writeHead(url === '/none' ? 404 : 200, { 'X-Own': 'yes' }).end(`${method} ${url} ${body}`),
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const { port: serverPort } = server.address() as AddressInfo;
  const backend: PodBackend = {
    ...NO_NODES,
    connect: (name, port, { stdin, stdout }) => {
      if (name !== 'node-1' || port !== NODE_PORT)
        return { exit: Promise.reject(new Error('connection refused')), resize() {}, kill() {} };
      const socket = connect(serverPort, '127.0.0.1');
      stdin.pipe(socket).pipe(stdout);
      return { exit: once(socket, 'close').then(() => 0), resize() {}, kill: () => void socket.destroy() };
    },
    portForward: (name, port, { stdin, stdout }) => {
      t.same(name, { namespace: 'default', pod: 'web', nodeName: 'node-1' });
      if (port !== POD_PORT)
        return { exit: Promise.reject(new Error(`port ${port}: connection refused`)), resize() {}, kill() {} };
      const socket = connect(serverPort, '127.0.0.1');
      stdin.pipe(socket).pipe(stdout);
      return { exit: once(socket, 'close').then(() => 0), resize() {}, kill: () => void socket.destroy() };
    },
  };
  const api = await HttpsApi.start(t, { backend });
  const client = api.api.client();
  const metadata = { name: 'web', namespace: 'default' };
  const containers = [{ name: 'web', image: 'nginx', ports: [{ containerPort: POD_PORT }] }];
  const pod = await client.create(PODS, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata,
    spec: { nodeName: 'node-1', containers },
  });
  await client.update(
    PODS,
    { ...pod, status: { phase: 'Running', podIP: '10.244.0.9', podIPs: [{ ip: '10.244.0.9' }] } },
    'status',
  );
  const ports = [
    { name: 'http', port: 80, targetPort: POD_PORT },
    { name: 'dead', port: 81, targetPort: 9 },
  ];
  for (const name of ['web', 'empty']) {
    await client.create(SERVICES, {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { ...metadata, name },
      spec: { ports },
    });
  }
  const targetRef = { kind: 'Pod', name: 'web', namespace: 'default' };
  const subset = {
    addresses: [{ ip: '10.244.0.9', targetRef }],
    ports: [
      { name: 'http', port: POD_PORT },
      { name: 'dead', port: 9 },
    ],
  };
  await client.create(ENDPOINTS, { apiVersion: 'v1', kind: 'Endpoints', metadata, subsets: [subset] });
  return { api, seen };
}

t.test('a request reaches the Pod, by its name or that of a Service, and its answer comes back', async (t) => {
  const { api, seen } = await withPod(t);
  for (const place of ['pods/web', 'pods/web:8080', 'services/web:http', 'services/http:web:http', 'services/web:80']) {
    const answer = await api.fetch('GET', `${NAMESPACE}/${place}/proxy/a/b%2Fc/?x=1&y`);
    t.match(answer, { code: 200, text: 'GET /a/b%2Fc/?x=1&y ', headers: { 'x-own': 'yes' } }, place);
  }
  t.match(await api.fetch('POST', `${NAMESPACE}/services/web:http/proxy/form`, { body: { n: 1 } }), {
    code: 200,
    text: 'POST /form {"n":1}',
  });
  t.match(
    await api.fetch('GET', `${NAMESPACE}/pods/web/proxy/none`),
    { code: 404, text: 'GET /none ' },
    'the Pod says 404',
  );
  t.match(await api.fetch('GET', `${NAMESPACE}/pods/web/proxy?q=1`), {
    code: 301,
    headers: { location: `${NAMESPACE}/pods/web/proxy/?q=1` },
  });
  t.equal(seen[0]!.headers.host, '10.244.0.9:8080');
  t.equal(seen[0]!.headers['x-forwarded-uri'], `${NAMESPACE}/pods/web/proxy/a/b%2Fc/`);
});

t.test('a request reaches a port of the Node, and what cannot be is said', async (t) => {
  const { api, seen } = await withPod(t);
  const client = api.api.client();
  const addresses = [{ type: 'InternalIP' as const, address: '192.168.49.2' }];
  await client.create(NODES, { apiVersion: 'v1', kind: 'Node', metadata: { name: 'node-1' }, status: { addresses } });
  const get = (place: string) => api.fetch('GET', `/api/v1/nodes/${place}`);
  t.match(await get('node-1:10249/proxy/a/b?x=1'), { code: 200, text: 'GET /a/b?x=1 ' });
  t.match(await get('http:node-1:10249/proxy/'), { code: 200, text: 'GET / ' });
  t.match(await get('node-1:10249/proxy'), { code: 301, headers: { location: '/api/v1/nodes/node-1:10249/proxy/' } });
  t.equal(seen[0]!.headers.host, '192.168.49.2:10249');
  t.match(await get('node-1:9/proxy/'), {
    code: 503,
    json: { message: /trying to reach service: connection refused$/ },
  });
  t.match(await get('node-1/proxy/metrics'), {
    code: 503,
    json: { message: /name a port, as in nodes\/node-1:10249/ },
  });
  t.match(await get('node-2:10249/proxy/'), { code: 404, json: { message: 'nodes "node-2" not found' } });
  t.match(await get('node-1:http/proxy/'), { code: 400, json: { message: 'invalid node request "node-1:http"' } });
  const { token } = (await api.api.requestToken('default', 'default', { spec: {} } as never)).status as {
    token: string;
  };
  t.match(await api.fetch('GET', '/api/v1/nodes/node-1:10249/proxy/', { token }), {
    code: 403,
    json: { message: /cannot get resource "nodes\/proxy" in API group "" at the cluster scope/ },
  });
});

t.test('who asks stays with the API server', async (t) => {
  const { api, seen } = await withPod(t);
  const { token } = (await api.api.requestToken('default', 'default', { spec: {} } as never)).status as {
    token: string;
  };
  const refused = await api.fetch('GET', `${NAMESPACE}/pods/web/proxy/`, { token });
  t.match(refused, {
    code: 403,
    json: { message: /cannot get resource "pods\/proxy" in API group "" in the namespace "default"/ },
  });
  await api.fetch('GET', `${NAMESPACE}/pods/web/proxy/`, {
    headers: { 'Impersonate-User': 'jane', 'Impersonate-Group': 'system:masters', 'X-Mine': 'kept' },
  });
  t.equal(seen.length, 1);
  t.equal(seen[0]!.headers['x-mine'], 'kept');
  t.same(
    Object.keys(seen[0]!.headers).filter((name) => /^(authorization|impersonate-)/.test(name)),
    [],
  );
});

t.test('what cannot be reached is said', async (t) => {
  const { api } = await withPod(t);
  for (const [place, code, message] of [
    ['services/web', 503, 'no endpoints available for service "web"'],
    ['services/web:99', 503, 'no service port 99 found for service "web"'],
    ['services/empty:http', 503, 'no endpoints available for service "empty:http"'],
    ['services/none:http', 404, 'services "none" not found'],
    ['services/a:b:c:d', 400, 'invalid service request "a:b:c:d"'],
    ['services/web:dead', 503, 'error trying to reach service: port 9: connection refused'],
    ['pods/none', 404, 'pods "none" not found'],
    ['pods/web:http', 400, 'invalid pod request "web:http"'],
  ] as const) {
    t.match(await api.fetch('GET', `${NAMESPACE}/${place}/proxy/`), { code, json: { message } }, place);
  }
});
