// kubectl port-forward into Pods of both runtimes. The Pods run an echo server of their own.

import type { ChildProcess } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Readable } from 'node:stream';
import t, { type Test } from 'tap';
import { Kubectl, type KubectlVersion, needsKubectl } from '../support/kubectl.ts';
import { canUseNetns } from '../support/netns.ts';
import { eventually, Podwire } from '../support/podwire.ts';

/** In netns Pods, a program: it takes a whole input before it answers, then sends it back. */
const ECHO = `require('node:net').createServer({ allowHalfOpen: true }, (s) => {
  const all = []; s.on('data', (c) => all.push(c)); s.on('end', () => s.end(Buffer.concat(all)));
}).listen(7000, '127.0.0.1')`;
const BIG = 8_000_000;

interface Forwarding {
  readonly port: number;
  said(): string;
  stop(): void;
}

async function forward(t: Test, kubectl: Kubectl, ...args: string[]): Promise<Forwarding> {
  const child = kubectl.spawn(['port-forward', '--address=127.0.0.1', ...args]);
  let said = '';
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
  }
  const stop = (): void => void child.kill('SIGTERM');
  t.teardown(stop);
  const port = (): string | undefined => /^Forwarding from 127\.0\.0\.1:(\d+) -> \d+$/m.exec(said)?.[1];
  await eventually(`kubectl port-forward ${args.join(' ')}`, () => {
    if (child.exitCode !== null) throw new Error(said);
    return port() !== undefined;
  });
  return { port: Number(port()), said: () => said, stop };
}

/** Sends `input`, ends, and reads to the end. */
async function ask(port: number, input: string | Buffer): Promise<Buffer> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  socket.end(input);
  return whole(socket);
}

async function whole(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

const hash = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
const GET = 'GET / HTTP/1.0\r\n\r\n';

async function play(t: Test, podwire: Podwire, version: KubectlVersion): Promise<void> {
  const kubectl = new Kubectl(podwire, { version });
  const must = async (line: string): Promise<string> => {
    const result = await kubectl.run(line);
    t.equal(result.code, 0, `${line}: ${result.stderr}`);
    return result.stdout;
  };
  await must('create deployment web --image=nginx');
  await must('expose deployment web --port=8000 --target-port=80');
  await must('rollout status deployment/web --timeout=90s');
  const pod = (await must('get pods -l app=web -o name')).trim();

  await t.test('to a Pod, a Deployment and a Service; to a port of ours or any', async (t) => {
    for (const [target, ports] of [
      [pod, ':80'],
      ['deployment/web', ':80'],
      ['service/web', ':8000'],
    ] as const) {
      const { port, said, stop } = await forward(t, kubectl, target, ports);
      t.match((await ask(port, GET)).toString(), /^HTTP\/1\.[01] 200 OK\r\n.*<h1>It works<\/h1>/s, target);
      t.match(said(), `Forwarding from 127.0.0.1:${port} -> 80\n`, 'the port of the Pod is told');
      stop();
    }
  });

  await t.test('many connections at once over one forwarding', async (t) => {
    const { port } = await forward(t, kubectl, 'deployment/web', ':80');
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask(port, GET)));
    t.equal(answers.filter((answer) => answer.includes('It works')).length, 20);
  });

  await t.test('nothing listens: the kubelet says so', async (t) => {
    const { port, said } = await forward(t, kubectl, pod, ':81');
    t.equal((await ask(port, 'x').catch(() => Buffer.alloc(0))).length, 0);
    await eventually('kubectl tells why', () => said().includes('lost connection to pod'));
    t.match(
      said(),
      /an error occurred forwarding \d+ -> 81: error forwarding port 81 to pod [0-9a-f]{32}, uid : failed to execute portforward in network namespace .*: failed to connect to localhost:81 inside namespace .*, IPv4: dial tcp4 127\.0\.0\.1:81: connect: connection refused IPv6 dial tcp6 \[::1\]:81: connect: /,
    );
  });

  await t.test('the Pod goes: so does the connection', async (t) => {
    const { port } = await forward(t, kubectl, pod, ':80');
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    const closed = once(socket, 'close');
    socket.on('error', () => {});
    await must(`delete ${pod} --now`);
    await closed;
    t.pass('closed');
  });
}

t.jobs = 2;
t.test('into userspace Pods', { buffered: true }, async (t) => {
  if (!needsKubectl(t)) return;
  const podwire = new Podwire(t);
  await podwire.up(t, '--runtime', 'userspace', '--listen', '127.0.0.1:0');
  await play(t, podwire, '1.35');

  await t.test('much each way', async (t) => {
    const kubectl = new Kubectl(podwire);
    await kubectl.says(t, 'run box --image=busybox -- sleep 3600', /created/);
    await kubectl.says(t, 'wait --for=condition=Ready pod/box --timeout=20s', /met/);
    const big = randomBytes(BIG);
    // Who listens with nc is done when the client ends, and kubectl when the Pod does: so one way at a time.
    const listen = async (port: number): Promise<ChildProcess> => {
      const server = kubectl.spawn(['exec', '-i', 'box', '--', 'nc', '-vlN', String(port)]);
      const [line] = (await once(server.stderr!, 'data')) as [Buffer];
      t.match(line.toString(), 'Listening on');
      return server;
    };
    const receiver = await listen(7000);
    const up = await forward(t, kubectl, 'pod/box', ':7000');
    const [received] = await Promise.all([whole(receiver.stdout!), ask(up.port, big)]);
    t.equal(hash(received), hash(big), 'to the Pod');
    const sender = await listen(7001);
    sender.stdin!.end(big);
    const down = await forward(t, kubectl, 'pod/box', ':7001');
    t.equal(hash(await whole(connect(down.port, '127.0.0.1'))), hash(big), 'from the Pod');
  });
});

t.jobs = 2;
t.test('into netns Pods', { buffered: true }, async (t) => {
  if (!canUseNetns(t) || !needsKubectl(t, '1.31')) return;
  const podwire = new Podwire(t);
  await podwire.up(t, '--runtime', 'netns', '--listen', '127.0.0.1:0');
  await play(t, podwire, '1.31');

  await t.test('half close, and much both ways', async (t) => {
    const kubectl = new Kubectl(podwire);
    const run = [
      'run',
      'echo',
      '--image=ubuntu',
      '--command',
      '--',
      'env',
      '-u',
      'NODE_OPTIONS',
      process.execPath,
      '-e',
      ECHO,
    ];
    t.equal((await kubectl.args(run)).code, 0);
    t.equal((await kubectl.run('wait --for=condition=Ready pod/echo --timeout=90s')).code, 0);
    const { port } = await forward(t, kubectl, 'pod/echo', ':7000');
    await eventually(
      'it listens',
      async () => (await kubectl.args(['exec', 'echo', '--', 'sh', '-c', 'grep -q :1B58 /proc/net/tcp'])).code === 0,
    );
    t.equal((await ask(port, 'to the end')).toString(), 'to the end', 'answered after the client has ended');
    const big = randomBytes(BIG);
    const [first, second] = await Promise.all([ask(port, big), ask(port, 'small')]);
    t.equal(hash(first), hash(big));
    t.equal(second.toString(), 'small');
  });
});
