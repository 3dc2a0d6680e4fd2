// The seed texts, verbatim, on Pods in network namespaces.
import t from 'tap';
import { canUseNetns } from '../support/netns.ts';
import { playSeeds } from './seeds.ts';

t.jobs = 2;
for (const version of ['1.35', '1.31'] as const) {
  t.test(`the seed texts with kubectl ${version}`, { buffered: true }, async (t) => {
    if (!canUseNetns(t, 'busybox', 'curl', 'nslookup', 'script')) return;
    await playSeeds(t, 'netns', version);
  });
}
