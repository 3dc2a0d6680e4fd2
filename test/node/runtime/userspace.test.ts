// The userspace runtime without a Node: the other end of the Pod's device leads nowhere.
import { PassThrough } from 'node:stream';
import t from 'tap';
import { VirtualClock } from '../../../src/lib/clock.ts';
import { SeededRng } from '../../../src/lib/rng.ts';
import type { Cni } from '../../../src/node/cni.ts';
import { UserspaceRuntime } from '../../../src/node/runtime/userspace.ts';
import type { Program } from '../../../src/node/workloads/program.ts';
import { SkbPool } from '../../../src/tcpip-ts/skb.ts';
import { parseMac } from '../../../src/tcpip-ts/wire/address.ts';
import { SinkLink } from '../../support/sink-link.ts';

t.test('what a program writes after it was killed, its output closed, is lost and hurts nobody', async (t) => {
  const clock = new VirtualClock();
  const stubborn: Program = async ({ stdout, stderr }) => {
    stdout.write('begun\n');
    await new Promise<void>((resolve) => clock.after(1e6, resolve));
    stdout.write('too late\n');
    stderr.write('too late\n');
    return 0;
  };
  const cni = {
    attachRing: () => ({
      podLink: new SinkLink(),
      podIP: 0x0af40005,
      podMac: parseMac('02:00:00:00:00:05'),
      gateway: 0x0af40001,
      detach: () => {},
    }),
  } as unknown as Cni;
  const runtime = new UserspaceRuntime({
    ...{ clock, cni, rng: new SeededRng(1), pool: new SkbPool(16), api: null },
    programs: new Map([['stubborn', stubborn]]),
  });
  const pod = { namespace: 'dev', name: 'jump', uid: '1', hostname: 'jump', files: new Map<string, string>() };
  const sandbox = await runtime.create(pod);
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const io = { stdin: null, stdout, stderr, tty: false };
  const process = await sandbox.run({ argv: ['stubborn'], env: {}, cwd: '/', io });
  process.signal('SIGKILL');
  t.same(await process.exit, { code: 137 });
  stdout.end();
  stderr.end();
  await clock.run(2e6);
  await new Promise((resolve) => setImmediate(resolve));
  t.equal(stdout.read()?.toString(), 'begun\n');
  await sandbox.close();
});
