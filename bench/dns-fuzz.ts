// The long run of the DNS parser's fuzzing: foreign bytes against the whole server, in this process.
//   node dist/bench/dns-fuzz.js [--messages N] [--seed S]
// Ends with 1 at the first message that is taken wrongly, and prints it: it then goes into test/fixtures/dns/kept-messages.txt.
import { parseArgs } from 'node:util';
import { fuzz } from '../test/dns/wire-fuzz.ts';

const { values } = parseArgs({
  options: {
    messages: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
  },
});
const startMs = performance.now();
const { messages, bytes, outcomes, failure } = await fuzz(Number(values.seed), Number(values.messages));
const seconds = (performance.now() - startMs) / 1000;
const met = [...outcomes].map(([outcome, n]) => `${outcome}: ${n}`).join(', ');
console.log(
  `seed ${values.seed}: ${messages} messages, ${bytes} bytes in ${seconds.toFixed(1)} s; met with rcode ${met}`,
);
if (failure !== undefined) {
  console.log(`message ${failure.number} ${failure.hex}\n${failure.what}`);
  process.exitCode = 1;
}
