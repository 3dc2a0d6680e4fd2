// A TCP stream of a Pod's that keeps running while the proxy mode changes under it, in each of the six directions: it goes on, or an
// Event names it. On both runtimes.
import type { ChildProcess } from 'node:child_process';
import t, { type Test } from 'tap';
import { Kubectl, needsKubectl } from '../support/kubectl.ts';
import { canUseNetns } from '../support/netns.ts';
import { eventually, Podwire } from '../support/podwire.ts';

t.setTimeout(0); // a loaded machine takes long over it; the runner has its own limit
t.jobs = 2;

/** Every direction once. */
const WAY = ['iptables', 'nftables', 'ipvs', 'iptables', 'ipvs', 'nftables', 'iptables'] as const;

for (const runtime of ['userspace', 'netns'] as const) {
  t.test(
    `a stream of a ${runtime} Pod goes on through a change of the mode, or is named`,
    { buffered: true },
    async (t) => {
      if (!needsKubectl(t) || (runtime === 'netns' && !canUseNetns(t, 'busybox'))) return;
      await play(t, runtime);
    },
  );
}

async function play(t: Test, runtime: 'userspace' | 'netns'): Promise<void> {
  const podwire = new Podwire(t);
  const flags = ['--runtime', runtime, '--proxy-mode', WAY[0], '--listen', '127.0.0.1:0'];
  await podwire.up(t, ...flags, '-f', 'examples/tiny-web.yml');
  const kubectl = new Kubectl(podwire);
  const events = async (reason: string): Promise<string> =>
    (await kubectl.run(`-n kube-system get events --field-selector reason=${reason} -o jsonpath={.items[*].message}`))
      .stdout;
  for (const [i, from] of WAY.slice(0, -1).entries()) {
    const to = WAY[i + 1]!;
    await t.test(`${from} to ${to}`, async (t) => {
      const stream = new Stream(podwire.spawn('exec', '-i', 'default/test-pod', '--', 'nc', 'tiny-web', '80'));
      await stream.more();
      const before = await events('ConnectionsLost');
      const document = JSON.stringify({ kind: 'KubeProxyConfiguration', mode: to, clusterCIDR: '10.244.0.0/16' });
      const patch = JSON.stringify({ data: { 'config.conf': document } });
      await kubectl.args(['-n', 'kube-system', 'patch', 'configmap', 'kube-proxy', '--type=merge', '-p', patch]);
      await eventually('the mode has changed', async () =>
        (await events('ProxyModeChanged')).includes(`${from} -> ${to}`),
      );
      const named = /\d+ to 10\.\d+\.\d+\.\d+:80 at 10\.244\.0\.\d+:80/;
      if (from === 'ipvs' && to === 'nftables') {
        await eventually('an Event names it', async () => named.test(await events('ConnectionsLost')));
        t.pass('an Event names it');
      } else {
        await stream.more();
        t.notOk(stream.ended, 'it goes on');
        t.equal(await events('ConnectionsLost'), before, 'nothing is lost');
      }
      if (from === 'ipvs' && to === 'iptables') t.match(await events('ConnectionsKept'), named);
      stream.close();
    });
  }
}

/** One connection with a request and its answer after the other, without a pause. */
class Stream {
  readonly #child: ChildProcess;
  #answers = 0;
  ended = false;

  constructor(child: ChildProcess) {
    this.#child = child;
    child.once('exit', () => {
      this.ended = true;
    });
    child.stdin!.on('error', () => {}); // it has ended
    let tail = '';
    child.stdout!.on('data', (chunk: Buffer) => {
      tail += chunk.toString();
      const at = tail.indexOf('</html>');
      if (at < 0) return;
      tail = tail.slice(at + 1);
      this.#answers++;
      this.#ask();
    });
    this.#ask();
  }

  /** Resolves after more answers. */
  async more(): Promise<void> {
    const enough = this.#answers + 10;
    await eventually('more answers', () => this.#answers >= enough || this.ended);
  }

  close(): void {
    this.#child.kill('SIGKILL');
  }

  #ask(): void {
    this.#child.stdin!.write('GET / HTTP/1.1\r\nHost: tiny-web\r\n\r\n');
  }
}
