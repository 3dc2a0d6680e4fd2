// Tests look at no clock: a loaded machine must not decide whether they pass, and times are measured in bench/. Those that wait for real
// programs use `eventually`, whose limit only a hang reaches.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

const TESTS = join(import.meta.dirname, '../../test');
const CLOCK = /performance\.now\(|process\.hrtime|Date\.now\(\)\s*[-<>]|-\s*Date\.now\(\)/;
/** Only to end what hangs, or to compare one clock with another. */
const MAY_LOOK = new Set([
  'apiserver/http/metrics.test.ts',
  'apiserver/streaming/spdy.test.ts',
  'support/pod-world.ts',
  'support/podwire.ts',
  'support/transcript.ts',
]);

t.test('no test measures time', async (t) => {
  const files = readdirSync(TESTS, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
  const looking = files.filter((file) => CLOCK.test(readFileSync(join(TESTS, file), 'utf8')));
  t.same(
    looking.filter((file) => !MAY_LOOK.has(file)),
    [],
  );
  t.same(
    [...MAY_LOOK].filter((file) => !looking.includes(file)),
    [],
    'and these still do',
  );
});
