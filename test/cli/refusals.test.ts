// What a user gets wrong is said in one line with an exit code, and nothing is left; nor is anything by a start that is broken off.
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { eventually, Podwire } from '../support/podwire.ts';

const POD = 'apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a, image: nginx}]}\n';

t.test('manifests that cannot be: file, line and reason, before anything is started', async (t) => {
  const podwire = new Podwire(t);
  const dir = t.testdir({
    'broken.yml': 'kind: Pod\n  metadata: {}\n',
    'kind.yml': `${POD}---\napiVersion: example.com/v1\nkind: Widget\nmetadata: {name: x}\n`,
    'typo.yml': `${POD}---\n${POD.replace('containers', 'contaners')}`,
  });
  const refused = async (file: string): Promise<string> => {
    const { code, stdout, stderr } = await podwire.run('up', '--runtime', 'userspace', '-f', join(dir, file));
    t.equal(code, 1);
    t.equal(stdout, '');
    return stderr.replaceAll(`${dir}/`, '');
  };
  t.equal(await refused('none.yml'), 'podwire: open none.yml: no such file or directory\n');
  t.match(await refused('broken.yml'), /^podwire: broken\.yml:1:7: .+\n$/);
  t.equal(
    await refused('kind.yml'),
    'podwire: kind.yml:6:1: no matches for kind "Widget" in version "example.com/v1"\n',
  );
  t.equal(
    await refused('typo.yml'),
    'podwire: typo.yml:6:1: Pod in version "v1" cannot be handled as a Pod: strict decoding error: unknown field "spec.contaners"\n',
  );
  t.match(await refused(''), /^podwire: broken\.yml:1:7: /, 'a directory stands for the manifests in it');
  t.same(podwire.leftovers(), []);
});

t.test('what the API refuses ends the start and says where it stands', async (t) => {
  const podwire = new Podwire(t);
  const dir = t.testdir({ 'a.yml': `${POD}---\n${POD.replace('name: a', 'name: A_b')}` });
  const args = ['up', '--runtime', 'userspace', '--listen', '127.0.0.1:0', '-f', dir];
  const { code, stderr } = await podwire.run(...args);
  t.equal(code, 1);
  t.match(stderr, /^podwire: \S+a\.yml:6:1: Pod "A_b" is invalid: metadata\.name: Invalid value: "A_b": [^\n]+\n$/);
  const detached = await podwire.run(...args, '--detach');
  t.equal(detached.code, 1);
  t.match(detached.stderr, /^podwire: the cluster did not start:\npod\/a created\npodwire: /);
  t.same(podwire.leftovers(), []);
  t.notOk(existsSync(`${podwire.dir}.log`), 'the log of what did not start');
});

t.test('a file of flows that cannot be read', async (t) => {
  const podwire = new Podwire(t);
  const dir = t.testdir({ 'broken.yml': 'a: b: c\n' });
  const refused = async (file: string): Promise<string> => {
    const { code, stderr } = await podwire.run('trace', '-f', 'examples/tiny-web.yml', '--flows', join(dir, file));
    t.equal(code, 1);
    return stderr.replaceAll(`${dir}/`, '');
  };
  t.equal(await refused('none.yml'), 'podwire: open none.yml: no such file or directory\n');
  t.match(await refused('broken.yml'), /^podwire: broken\.yml:1:4: [^\n]+\n$/);
});

t.test('options that cannot be met', async (t) => {
  const podwire = new Podwire(t);
  const up = async (...args: string[]): Promise<string> => {
    const { code, stderr } = await podwire.run('up', '--runtime', 'userspace', ...args);
    t.equal(code, 1);
    return stderr;
  };
  t.equal(
    await up('--store', '/proc/podwire'),
    "podwire: store /proc/podwire: ENOENT: no such file or directory, mkdir '/proc/podwire'\n",
  );
  t.equal(await up('--images', '/no/such'), 'podwire: open /no/such: no such file or directory\n');
  t.equal(await up('--capture', '/no/such'), "podwire: ENOENT: no such file or directory, open '/no/such'\n");
  t.equal(await up('--resolv-conf', '/no/such'), 'podwire: open /no/such: no such file or directory\n');
  t.match(await up('--listen', 'here'), /^podwire: --listen here: expected ADDRESS:PORT/);
  t.match(await up('--ipvs-scheduler', 'best'), /argument 'best' is invalid\. Allowed choices are rr, /);
  t.same(podwire.leftovers(), []);
});

t.test('Ctrl-C in the middle of a start leaves nothing', async (t) => {
  const podwire = new Podwire(t);
  const up = podwire.spawn('up', '--runtime', 'userspace', '--listen', '127.0.0.1:0', '-f', 'examples/sd-example.yml');
  let stderr = '';
  up.stderr!.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  await eventually('it has its directory', () => existsSync(join(podwire.dir, 'pid')));
  up.kill('SIGINT');
  t.same(await once(up, 'close'), [130, null], 'by its own exit, not by the signal');
  t.equal(stderr, '');
  t.same(podwire.leftovers(), []);
});

t.test('a detached cluster that is taken down leaves no log', async (t) => {
  const podwire = new Podwire(t);
  t.equal((await podwire.run('up', '--detach', '--runtime', 'userspace', '--listen', '127.0.0.1:0')).code, 0);
  t.equal((await podwire.run('down')).stdout, 'the cluster is down\n');
  t.notOk(existsSync(`${podwire.dir}.log`));
  t.same(await podwire.run('down'), { code: 0, stdout: 'no cluster is running\n', stderr: '' });
});
