// What kubectl's streams must carry whole: exit codes, signals, terminal sizes, much input and output, files; and what must be left when a
// client goes in the middle: nothing.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Kubectl, needsKubectl } from '../support/kubectl.ts';
import { canUseNetns, sh } from '../support/netns.ts';
import { eventually, Podwire } from '../support/podwire.ts';

const BIG = 8_000_000;

async function start(t: Test, runtime: string): Promise<Kubectl> {
  const podwire = new Podwire(t);
  await podwire.up(t, '--runtime', runtime, '--listen', '127.0.0.1:0');
  const kubectl = new Kubectl(podwire);
  await kubectl.says(t, 'run box --image=ubuntu -- sleep 3600', /^/);
  await kubectl.says(t, 'wait --for=condition=Ready pod/box --timeout=90s', /^/);
  return kubectl;
}

/** The same in both runtimes. */
async function play(t: Test, kubectl: Kubectl): Promise<void> {
  await t.test('exit codes', async (t) => {
    for (const code of [0, 1, 2, 126, 127, 130, 255]) {
      t.equal((await kubectl.args(['exec', 'box', '--', 'sh', '-c', `exit ${code}`])).code, code);
    }
  });

  await t.test('much output of a program that does not wait for its reader', async (t) => {
    const { code, stdout } = await kubectl.run('exec box -- seq 1 400000');
    t.same([code, stdout.length, stdout.slice(-7)], [0, 2_688_895, '400000\n']);
  });

  await t.test('run -it --rm: the exit code, and no Pod is left', async (t) => {
    const args = ['run', 'once', '-it', '--rm', '--image=busybox', '--restart=Never', '--', 'sh'];
    const { code, stdout } = await kubectl.terminal(args, async (type, shows) => {
      await shows('try pressing enter');
      type('\r');
      await shows('# ');
      type('echo he"l"lo\r');
      await shows('\r\nhello\r\n');
      type('exit 3\r');
    });
    t.equal(code, 3);
    t.match(stdout, /pod "once" deleted/);
    t.equal((await kubectl.run('get pod once')).code, 1);
  });

  await t.test('attach -it joins what runs, and its end', async (t) => {
    await kubectl.says(t, 'run shell --image=busybox --stdin --tty --attach=false --restart=Never -- sh', /^/);
    await kubectl.says(t, 'wait --for=condition=Ready pod/shell --timeout=90s', /^/);
    const { stdout } = await kubectl.terminal(['attach', '-it', 'shell'], async (type, shows) => {
      await shows('try pressing enter');
      type('echo jo"in"ed\r');
      await shows('\r\njoined\r\n');
      type('exit 6\r');
    });
    t.match(stdout, 'joined');
    await kubectl.soon('get pod shell -o jsonpath={.status.containerStatuses[0].state.terminated.exitCode}', /^6$/);
    await kubectl.says(t, 'get pod shell -o jsonpath={.status.phase}', 'Failed');
  });

  await t.test('logs -f ends with the container; --previous is the run before', async (t) => {
    const script = 'echo start; sleep 1; echo end; exit 1';
    t.equal((await kubectl.args(['run', 'crash', '--image=busybox', '--', 'sh', '-c', script])).code, 0);
    await kubectl.soon('get pod crash -o jsonpath={.status.containerStatuses[0]}', /startedAt/);
    await kubectl.says(t, 'logs -f crash', 'start\nend\n');
    await kubectl.soon('logs crash --previous', /^start\nend\n$/);
  });
}

t.jobs = 2;
t.test('in userspace Pods', { buffered: true }, async (t) => {
  if (!needsKubectl(t)) return;
  const kubectl = await start(t, 'userspace');
  await play(t, kubectl);
});

t.test('in netns Pods', { buffered: true }, async (t) => {
  if (!canUseNetns(t, 'tar', 'script', 'pgrep') || !needsKubectl(t)) return;
  const kubectl = await start(t, 'netns');
  await play(t, kubectl);

  await t.test('who is killed by a signal', async (t) => {
    for (const [signal, code] of [
      ['KILL', 137],
      ['TERM', 143],
    ] as const) {
      const killed = await kubectl.args(['exec', 'box', '--', 'sh', '-c', `kill -${signal} $$`]);
      t.same([killed.code, killed.stderr], [code, `command terminated with exit code ${code}\n`]);
    }
  });

  await t.test('the size of the terminal, also when it changes', async (t) => {
    const { code } = await kubectl.terminal(
      ['exec', '-it', 'box', '--', 'sh'],
      async (type, shows, _screen, resize) => {
        await shows('# ');
        resize(33, 111);
        type('until [ "$(stty size)" = "33 111" ]; do sleep 0.1; done; echo re"siz"ed\r');
        await shows('\r\nresized\r\n');
        type('exit\r');
      },
    );
    t.equal(code, 0);
  });

  await t.test('much input, and files there and back', async (t) => {
    const file = join(t.testdir(), 'big');
    writeFileSync(file, randomBytes(BIG));
    const counting = kubectl.spawn(['exec', '-i', 'box', '--', 'sh', '-c', 'sleep 1; wc -c']);
    createReadStream(file).pipe(counting.stdin!);
    const [counted] = (await once(counting.stdout!, 'data')) as [Buffer];
    t.equal(counted.toString(), `${BIG}\n`, 'a command that begins late gets it all');
    await kubectl.says(t, `cp ${file} box:/tmp/big`, /^/);
    await kubectl.says(t, `cp box:/tmp/big ${file}.back`, /^/);
    t.ok(readFileSync(file).equals(readFileSync(`${file}.back`)));
  });

  await t.test('a client that vanishes leaves nothing behind', async (t) => {
    for (const [what, command, input] of [
      ['waiting', `sleep 1${process.pid}`, false],
      ['while its input has no reader', `sleep 2${process.pid}`, true],
      ['while nobody reads the output', `yes 3${process.pid}`, false],
    ] as const) {
      const child = kubectl.spawn(['exec', '-i', 'box', '--', ...command.split(' ')]);
      if (input)
        createReadStream('/dev/zero')
          .pipe(child.stdin!)
          .on('error', () => {});
      const running = (): boolean => sh(`pgrep -fx '${command}' || true`) !== '';
      await eventually(`${command} runs`, running);
      child.stdout!.pause();
      child.kill('SIGKILL');
      await eventually(`${what}: ${command} is gone`, () => !running());
      t.pass(what);
    }
  });
});
