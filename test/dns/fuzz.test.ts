// Foreign bytes: a short run of the generator from fixed seeds, and the messages that once went wrong or are worth keeping.
// The long run: `node dist/bench/dns-fuzz.js`, a million messages from a new seed.
import { readFileSync } from 'node:fs';
import t from 'tap';
import { fuzz, judge, startTarget } from './wire-fuzz.ts';

// From dist/test/dns to test/fixtures.
const KEPT = new URL('../../../test/fixtures/dns/kept-messages.txt', import.meta.url);

t.test('twenty thousand messages, right and wrong, are each met as they should be', async (t) => {
  for (const seed of [1, 2]) {
    const { failure, outcomes } = await fuzz(seed, 10_000);
    t.equal(failure, undefined, `seed ${seed}`);
    for (const outcome of ['0', '1', '3', '4', '5', 'silence'])
      t.ok((outcomes.get(outcome) ?? 0) > 0, `some met with ${outcome}`);
  }
});

t.test('messages that were kept', async (t) => {
  const dns = await startTarget();
  for (const line of readFileSync(KEPT, 'utf8').split('\n')) {
    const [hex, rcode, ...why] = line.split(' ');
    if (hex === undefined || hex === '' || hex.startsWith('#')) continue;
    const query = Buffer.from(hex, 'hex');
    const reply = dns.sockets.sendNow(query);
    t.equal(judge(query, reply), undefined, why.join(' '));
    t.equal(reply === undefined ? 'silence' : String(reply[3]! & 15), rcode, why.join(' '));
  }
  await dns.stop();
});
