// The example on userspace Pods in the proxy modes that are not the default, from the command line.
import t from 'tap';
import { Podwire } from '../support/podwire.ts';
import { playDown, playExample } from './example.ts';

t.setTimeout(0); // a loaded machine takes long over it; the runner has its own limit

for (const mode of ['iptables', 'nftables'] as const) {
  t.test(`the example comes true in ${mode} mode`, async (t) => {
    const podwire = new Podwire(t);
    await podwire.up(t, '--runtime', 'userspace', '--proxy-mode', mode, '-f', 'examples/sd-example.yml');
    await playExample(t, podwire, mode);
    await playDown(t, podwire);
  });
}
