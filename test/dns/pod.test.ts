// CoreDNS in a Pod: on a @tcpip-ts stack, with objects from the API server by list and watch, asked from another host.

import { request as httpRequest } from 'node:http';
import type { createConnection } from 'node:net';
import t from 'tap';
import type { KubeObject, ResourceType } from '../../src/api/meta.ts';
import { ENDPOINTSLICES, NAMESPACES, SERVICES } from '../../src/api/resources.ts';
import { ApiServer } from '../../src/apiserver/apiserver.ts';
import { corefile } from '../../src/controller/kube-system.ts';
import { rcodeText } from '../../src/dns/constants.ts';
import { type DecodedReply, decodeMessage } from '../../src/dns/message.ts';
import { coreDnsInPod } from '../../src/dns/pod.ts';
import { SeededRng } from '../../src/lib/rng.ts';
import { TcpSocket } from '../../src/tcpip-ts/socket/tcp-socket.ts';
import { UdpSocket } from '../../src/tcpip-ts/socket/udp-socket.ts';
import { B, type Hosts, twoHosts } from '../support/hosts.ts';
import { query, texts } from './harness.ts';
import { namespace, service, slice } from './support-objects.ts';

async function startPod(files: Record<string, string>, argv = ['coredns', '-conf', '/etc/coredns/Corefile']) {
  const hosts = twoHosts({ poolSize: 1024 });
  const { clock } = hosts;
  const api = new ApiServer({ clock, rng: new SeededRng(3) }).client();
  const create = <T extends KubeObject>(type: ResourceType<T>, object: KubeObject) => api.create(type, object as T);
  await create(NAMESPACES, namespace('default')).catch(() => {});
  const abort = new AbortController();
  let output = '';
  const write = (text: string): void => {
    output += text;
  };
  const exited = coreDnsInPod({
    ...{
      argv,
      env: {},
      stdout: { write },
      stderr: { write },
      stack: hosts.b,
      podIP: B,
      clock,
      rng: new SeededRng(4),
      api,
    },
    ...{ files: { read: (path: string) => files[path] }, signal: abort.signal },
  });
  return { hosts, api, create, exited, output: () => output, abort: () => abort.abort('SIGTERM') };
}

async function ask(hosts: Hosts, name: string, type = 'A'): Promise<DecodedReply> {
  const socket = new UdpSocket(hosts.a);
  let reply: DecodedReply | undefined;
  socket.on('message', (bytes) => {
    reply = decodeMessage(bytes);
  });
  socket.send(query(name, type), 53, '10.0.0.2');
  await hosts.clock.until(() => reply !== undefined, 5e6);
  socket.close();
  return reply!;
}

t.test('serves the cluster from the API: UDP, TCP, health, ready, metrics; leaves on SIGTERM', async (t) => {
  const pod = await startPod({ '/etc/coredns/Corefile': corefile('cluster.local'), '/etc/resolv.conf': '' });
  const { hosts, create, output } = pod;
  const { clock } = hosts;
  await clock.until(() => output().includes('not Go'), 1e6);
  t.match(
    output(),
    /^\.:53\n\[INFO\] plugin\/reload: Running configuration SHA512 = [0-9a-f]{128}\nCoreDNS-1\..*\nlinux\/.*\n$/,
  );

  t.equal(rcodeText((await ask(hosts, 'web.default.svc.cluster.local.')).rcode), 'NXDOMAIN');
  await create(SERVICES, service('web', '10.96.0.77'));
  await create(SERVICES, service('db', 'None'));
  await create(
    ENDPOINTSLICES,
    slice(
      'db',
      Array.from({ length: 90 }, (_, i) => `10.244.0.${i + 2}`),
    ),
  );
  await clock.run(0.1e6);
  const web = await ask(hosts, 'web.default.svc.cluster.local.');
  t.strictSame(texts(web.answer), ['web.default.svc.cluster.local. 30 1 10.96.0.77'], 'not 100 ms later it is there');
  t.equal((await ask(hosts, 'db.default.svc.cluster.local.')).answer.length, 29, 'cut to 512 bytes');
  t.equal(rcodeText((await ask(hosts, 'example.net.')).rcode), 'SERVFAIL');

  const stream = new TcpSocket(hosts.a).connect({ host: '10.0.0.2', port: 53 });
  let data = Buffer.alloc(0);
  stream.on('data', (chunk: Buffer) => {
    data = Buffer.concat([data, chunk]);
  });
  const asked = query('db.default.svc.cluster.local.', 'A');
  stream.write(Buffer.concat([Buffer.from([0, asked.length]), asked]));
  await clock.until(() => data.length > 2 && data.length === 2 + data.readUInt16BE(0), 5e6);
  t.equal(decodeMessage(data.subarray(2))!.answer.length, 90, 'whole over TCP');
  stream.destroy();

  for (const [port, path, body] of [
    [8080, '/health', 'OK'],
    [8181, '/ready', 'OK'],
    [9153, '/metrics', 'coredns_dns_requests_total'],
  ] as const) {
    let got = '';
    const connection = new TcpSocket(hosts.a).connect({ host: '10.0.0.2', port });
    httpRequest(
      { host: '10.0.0.2', path, createConnection: () => connection as unknown as ReturnType<typeof createConnection> },
      (response) => {
        response.on('data', (chunk) => {
          got += chunk;
        });
      },
    ).end();
    await clock.until(() => got.includes(body), 5e6);
    t.match(got, body, path);
  }

  const startUs = clock.nowUs();
  pod.abort();
  let code: number | undefined;
  pod.exited.then((value) => {
    code = value;
  });
  await clock.run(1e6);
  t.equal((await ask(hosts, 'web.default.svc.cluster.local.')).answer.length, 1, 'a lame duck still answers');
  await clock.until(() => code !== undefined, 10e6);
  t.equal(code, 0);
  t.ok(clock.nowUs() - startUs >= 5e6);
});

t.test('a missing Corefile and unknown flags end it with an error', async (t) => {
  const none = await startPod({});
  t.equal(await none.exited, 1);
  t.match(none.output(), 'open /etc/coredns/Corefile: no such file or directory');
  const flag = await startPod({}, ['coredns', '-nonsense']);
  t.equal(await flag.exited, 2);
  t.match(flag.output(), 'flag provided but not defined: -nonsense');
});
