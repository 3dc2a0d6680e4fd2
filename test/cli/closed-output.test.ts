// Whoever reads the command's output may go before its end (`| head`): that is no failure, and nothing is said of it.
import { once } from 'node:events';
import t from 'tap';
import { Podwire } from '../support/podwire.ts';

/** Its exit code and errors, when nobody reads its output, or with `goesOn` only the beginning. */
async function unread(podwire: Podwire, args: readonly string[], goesOn = false) {
  const child = podwire.spawn(...args);
  let stderr = '';
  child.stderr!.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const closed = once(child, 'close');
  if (goesOn) await once(child.stdout!, 'data');
  child.stdout!.destroy();
  const [code] = (await closed) as [number];
  return { code, stderr };
}

const FLOW = ['--pod', 'shop/client', '--to', 'web:80'] as const;

t.test('answers that are not read', async (t) => {
  const rules = ['rules', '-f', 'examples/services.yml', '--proxy-mode', 'iptables'];
  t.same(await unread(new Podwire(t), rules), { code: 0, stderr: '' });
});

t.test('what goes on until its reader goes', async (t) => {
  const podwire = new Podwire(t);
  const up = await podwire.up(t, '--runtime', 'userspace', '--listen', '127.0.0.1:0', '-f', 'examples/services.yml');
  const ask = () => podwire.exec('shop/client', 'curl', '-s', 'web');
  t.test('trace --live', async (t) => {
    const timer = setInterval(ask, 500);
    t.teardown(() => clearInterval(timer));
    t.same(await unread(podwire, ['trace', '--live', ...FLOW], true), { code: 0, stderr: '' });
  });
  t.test('exec', async (t) => {
    const shell = ['exec', '-i', 'shop/client', '--', 'sh', '-c', 'while true; do echo tick; sleep 0.05; done'];
    t.same(await unread(podwire, shell, true), { code: 0, stderr: '' });
  });
  t.test('up itself goes on', async (t) => {
    up.stdout!.destroy();
    t.equal((await ask()).code, 0);
    up.kill('SIGTERM');
    const [code] = (await once(up, 'close')) as [number];
    t.equal(code, 143);
    t.same(podwire.leftovers(), []);
  });
});
