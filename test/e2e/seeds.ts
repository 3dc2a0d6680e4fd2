// Plays the seed texts command by command with a real kubectl; each runtime has its test.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { Kubectl, type KubectlVersion, needsKubectl } from '../support/kubectl.ts';
import { Podwire, ROOT } from '../support/podwire.ts';
import { Player, parseTranscript } from '../support/transcript.ts';

const TEXTS = ['auto-registration', 'service-discovery'];

export async function playSeeds(t: Test, runtime: 'netns' | 'userspace', version: KubectlVersion): Promise<void> {
  if (!needsKubectl(t, version)) return;
  const podwire = new Podwire(t);
  await podwire.up(t, '--runtime', runtime, '--listen', '127.0.0.1:0');
  const kubectl = new Kubectl(podwire, { version, cwd: join(ROOT, 'examples') });
  for (const text of TEXTS) {
    const steps = parseTranscript(readFileSync(join(ROOT, `test/fixtures/seeds/${text}.txt`), 'utf8'));
    await t.test(text, (t) => new Player(t, kubectl).play(steps));
  }
}
