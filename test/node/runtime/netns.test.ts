// The netns runtime with real namespaces and processes, without a Node: the other end of the Pod's device leads nowhere.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { PassThrough } from 'node:stream';
import t from 'tap';
import { nativeFile } from '../../../src/link/native.ts';
import type { Cni } from '../../../src/node/cni.ts';
import { NetnsRuntime } from '../../../src/node/runtime/netns.ts';
import { parseMac } from '../../../src/tcpip-ts/wire/address.ts';
import { canUseNetns, sh } from '../../support/netns.ts';

t.test('a terminal whose program has ended may still be given a size', async (t) => {
  if (!canUseNetns(t)) return;
  const stateDir = mkdtempSync(join(tmpdir(), 'podwire-'));
  t.teardown(() => rmSync(stateDir, { recursive: true, force: true }));
  const cni = {
    attachTap: (_: unknown, netnsPath: string) => {
      sh(`ip -n ${basename(netnsPath)} link add eth0 type veth peer name peer0`);
      return {
        podIP: 0x0af40005,
        podMac: parseMac('02:00:00:00:00:05'),
        gateway: 0x0af40001,
        mtu: 1500,
        detach: () => {},
      };
    },
  } as unknown as Cni;
  const runtime = new NetnsRuntime({
    cni,
    podInit: nativeFile('pod-init')!,
    stateDir,
    netnsPrefix: `pwtest${process.pid}_`,
  });
  const pod = { namespace: 'dev', name: 'jump', uid: '1', hostname: 'jump', files: new Map<string, string>() };
  const sandbox = await runtime.create(pod);
  t.teardown(() => sandbox.close());
  const io = { stdin: null, stdout: new PassThrough().resume(), stderr: new PassThrough().resume(), tty: true };
  const started = await sandbox.run({ argv: ['sh', '-c', 'exit 3'], env: { PATH: process.env.PATH! }, cwd: '/', io });
  // The program ends while this thread does not look; it learns of that only after it has written.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500);
  for (let columns = 80; columns < 90; columns++) started.resize(columns, 24);
  t.same(await started.exit, { code: 3 });
  started.resize(100, 24);
});
