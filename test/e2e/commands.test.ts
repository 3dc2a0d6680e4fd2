// The commands around a running cluster: detach, status, logs, capture, rules, exec with streams; on userspace Pods, so anywhere.
import { once } from 'node:events';
import t from 'tap';
import { collect, eventually, Podwire } from '../support/podwire.ts';

t.test('a detached cluster is used and ended', async (t) => {
  const podwire = new Podwire(t);
  const up = await podwire.run(
    'up',
    '--detach',
    '--runtime',
    'userspace',
    '-f',
    'examples/tiny-web.yml',
    '-f',
    'examples/remote.yml',
  );
  t.equal(up.code, 0, up.stderr);
  t.match(
    up.stdout,
    /pod\/tiny-web created\n[\s\S]*namespace\/remote created\n[\s\S]*cluster is up after [\d.]+ s: 1 Node, proxy mode \w+, Pods run in userspace/,
  );
  t.teardown(() => podwire.run('down'));

  await t.test('the first seed: by name, and with the full name from another Namespace', async (t) => {
    const near = await podwire.exec('test-pod', 'wget', 'tiny-web');
    t.match(
      near.stderr,
      /^Connecting to tiny-web \(10\.\d+\.\d+\.\d+:80\)\nsaving to 'index\.html'\nindex\.html {11}100% \|\*+\| +615 +0:00:00 ETA\n'index\.html' saved\n$/,
    );
    const far = await podwire.exec('remote/remotebox', 'wget', 'interginx');
    t.same([far.code, far.stderr], [1, "wget: bad address 'interginx'\n"]);
    t.equal(
      (await podwire.exec('remote/remotebox', 'wget', '-q', '-O', '/dev/null', 'interginx.default.svc.cluster.local'))
        .code,
      0,
    );
  });

  await t.test('status and logs read like a cluster', async (t) => {
    const { stdout } = await podwire.run('status');
    t.match(stdout, /^default +tiny-web +1\/1 +Running +0 +10\.244\.0\.\d+ +node-1$/m);
    t.match(stdout, /^kube-system +kube-dns +ClusterIP +10\.96\.0\.10 +53\/UDP,53\/TCP,9153\/TCP$/m);
    t.match(
      (await podwire.run('logs', 'tiny-web')).stdout,
      /^10\.244\.0\.\d+ - - \[.*\] "GET \/ HTTP\/1\.1" 200 615 "-" "-"$/m,
    );
    const coredns = /coredns-\S+/.exec(stdout)![0];
    t.match(
      (await podwire.run('logs', `kube-system/${coredns}`)).stdout,
      /^\.:53\n\[INFO\] plugin\/reload: Running configuration SHA512 = [0-9a-f]{128}\nCoreDNS-/,
    );
    const none = await podwire.run('logs', 'no-such-pod');
    t.same([none.code, none.stderr], [1, 'podwire: pods "no-such-pod" not found\n']);
  });

  await t.test('logs -f goes on with what is written, until the container is gone', async (t) => {
    const logs = podwire.spawn('logs', '-f', 'tiny-web');
    let heard = '';
    logs.stdout!.on('data', (chunk: Buffer) => {
      heard += chunk.toString();
    });
    await eventually('what was there', () => heard.includes('GET / '));
    await podwire.exec('test-pod', 'wget', '-q', '-O', '/dev/null', 'tiny-web/later');
    await eventually('what comes', () => heard.includes('GET /later '));
    logs.kill('SIGINT');
    await once(logs, 'exit');
    const none = await podwire.run('logs', '-f', 'no-such-pod');
    t.same([none.code, none.stderr], [1, 'podwire: pods "no-such-pod" not found\n']);
  });

  await t.test('exec passes input, output and the exit code', async (t) => {
    const child = podwire.spawn('exec', '-i', 'test-pod', '--', 'sh', '-c', 'cat; echo oops >&2; exit 3');
    child.stdin!.end('hello\n');
    t.same(await collect(child), { code: 3, stdout: 'hello\n', stderr: 'oops\n' });
  });

  await t.test('capture streams pcapng until it is stopped', async (t) => {
    const capture = podwire.spawn('capture', '-w', '-', 'udp', 'port', '53');
    const chunks: Buffer[] = [];
    capture.stdout!.on('data', (chunk: Buffer) => chunks.push(chunk));
    await eventually('the header is there', () => chunks.length > 0);
    t.equal(chunks[0]!.readUInt32LE(0), 0x0a0d0d0a, 'a section header block');
    await podwire.exec('test-pod', 'nslookup', 'kubernetes');
    await eventually('packets follow', () => Buffer.concat(chunks).includes('kubernetes'));
    capture.kill('SIGINT');
    const [code] = await once(capture, 'exit');
    t.equal(code, 0);
    for (const [args, message] of [
      [['--service', 'nope'], 'podwire: services "nope" not found\n'],
      [['--service', 'a/b/c'], 'podwire: service "a/b/c": expected NAMESPACE/NAME, or NAME of a service in default\n'],
    ] as const) {
      const refused = await podwire.run('capture', '-w', '-', ...args);
      t.same([refused.code, refused.stderr], [1, message]);
    }
    const bad = await podwire.run('capture', '-w', '-', 'nonsense');
    t.equal(bad.code, 1);
    t.match(bad.stderr, /filter: expected .*found "nonsense"/);
  });

  await t.test(
    'capture --service has the packets of one Service, both ways, and --dropped those that are not delivered',
    async (t) => {
      const follow = async (...args: string[]): Promise<{ heard: () => string; stop: () => boolean }> => {
        const capture = podwire.spawn('capture', '-w', '-', ...args);
        const chunks: Buffer[] = [];
        capture.stdout!.on('data', (chunk: Buffer) => chunks.push(chunk));
        await eventually('the header is there', () => chunks.length > 0);
        return { heard: () => Buffer.concat(chunks).toString('latin1'), stop: () => capture.kill('SIGINT') };
      };
      const service = await follow('--service', 'tiny-web');
      const dropped = await follow('--dropped', 'tcp');
      await podwire.exec('test-pod', 'nslookup', 'kubernetes');
      t.equal((await podwire.exec('test-pod', 'wget', '-q', '-O', '/dev/null', 'tiny-web')).code, 0);
      t.not((await podwire.exec('test-pod', 'wget', '-q', '-O', '/dev/null', 'tiny-web:81')).code, 0);
      const requests = (): number => service.heard().split('GET / HTTP/1.1').length - 1;
      await eventually('the request as the client sent it, and as the server got it', () => requests() === 2);
      await eventually('the refused connection', () => dropped.heard().includes('dropped: NF_REJECT'));
      t.equal(dropped.heard().includes('GET /'), false);
      t.equal(service.heard().includes('\x0akubernetes'), false, 'no question for DNS');
      service.stop();
      dropped.stop();
    },
  );

  t.match((await podwire.run('down')).stdout, 'the cluster is down');
  t.same(podwire.leftovers(), []);
});

t.test('SIGINT ends a cluster in the foreground and leaves nothing', async (t) => {
  const podwire = new Podwire(t);
  const up = await podwire.up(t, '--runtime', 'userspace');
  up.kill('SIGINT');
  const [code] = await once(up, 'exit');
  t.equal(code, 130);
  t.same(podwire.leftovers(), []);
});

t.test('while Pods do not become ready, up says what one waits for', async (t) => {
  const podwire = new Podwire(t);
  const up = podwire.spawn('up', '--runtime', 'userspace', '--listen', '127.0.0.1:0', '-f', '-');
  const manifest = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'odd' },
    spec: { containers: [{ name: 'c', image: 'nosuch:1' }] },
  };
  up.stdin!.end(JSON.stringify(manifest));
  let heard = '';
  up.stderr!.on('data', (chunk: Buffer) => {
    heard += chunk.toString();
  });
  await eventually('what it waits for', () => heard.includes('\n'));
  t.match(heard, /^Pods ready: 2 of 3; waiting for default\/odd: .*nosuch:1.*not in the image catalog/);
  up.kill('SIGTERM');
  t.same(await once(up, 'exit'), [143, null]);
});
