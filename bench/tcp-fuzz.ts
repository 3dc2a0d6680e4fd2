// The long run of the stack's fuzzing: mutated frames of true conversations and noise, in this process.
//   node dist/bench/tcp-fuzz.js [--frames N] [--seed S]
// Prints each bad round, whose number then goes into test/fixtures/tcpip-ts/kept-rounds.txt, and ends with 1 after ten.
import { parseArgs } from 'node:util';
import { fuzz } from '../test/tcpip-ts/fuzz-round.ts';

const { values } = parseArgs({
  options: {
    frames: { type: 'string', default: '10000000' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
  },
});
let bad = 0;
const startMs = performance.now();
const { frames, rounds, states } = fuzz(Number(values.seed), Number(values.frames), (round, problem) => {
  console.log(`round ${round}: ${problem}`);
  return ++bad < 10;
});
const seconds = (performance.now() - startMs) / 1000;
console.log(`seed ${values.seed}: ${frames} frames in ${rounds} rounds, ${seconds.toFixed(0)} s; ${bad} bad rounds`);
for (const [state, n] of [...states].sort((x, y) => y[1] - x[1])) console.log(`${state.padEnd(24)} ${n}`);
process.exitCode = bad > 0 ? 1 : 0;
