// The seed texts, verbatim, on Pods on the userspace stack.
import t from 'tap';
import { playSeeds } from './seeds.ts';

t.jobs = 2;
for (const version of ['1.35', '1.31'] as const) {
  t.test(`the seed texts with kubectl ${version}`, { buffered: true }, async (t) => {
    await playSeeds(t, 'userspace', version);
  });
}
