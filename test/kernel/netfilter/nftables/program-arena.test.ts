// Where chains' programs stand, against a Map of them: each has its own words, whatever was written, outgrown and released before,
// and an offset that a verdict once took leads to the program for as long as the chain is there.
import t from 'tap';
import { OP_FORWARD } from '../../../../src/kernel/netfilter/nftables/compile.ts';
import { ProgramArena } from '../../../../src/kernel/netfilter/nftables/program-arena.ts';
import { fc } from '../../../support/property.ts';

t.test('a program is found wherever it was', (t) => {
  const command = fc.record({ chain: fc.nat(100), words: fc.nat(70), releases: fc.nat(3).map((n) => n === 0) });
  fc.assert(
    fc.property(fc.array(command, { maxLength: 300 }), (commands) => {
      const arena = new ProgramArena();
      const model = new Map<number, { readonly words: number; readonly taken: number[] }>();
      let stamp = OP_FORWARD;
      for (const { chain, words, releases } of commands) {
        if (releases) {
          arena.release(chain);
          model.delete(chain);
          continue;
        }
        const before = model.get(chain);
        arena.reserve(chain, words + 1);
        arena.write(chain, new Int32Array(words + 1).fill(++stamp));
        model.set(chain, { words: stamp, taken: [...(before?.taken ?? []), arena.offsets[chain]!] });
        if (before && before.taken.at(-1) !== arena.offsets[chain] && words < 8) return false;
      }
      return [...model].every(([chain, { words, taken }]) =>
        taken.every((offset) => {
          const at = arena.code[offset] === OP_FORWARD ? arena.code[offset + 1]! : offset;
          return arena.chainAt(offset) === chain && at === arena.offsets[chain] && arena.code[at] === words;
        }),
      );
    }),
    { seed: 1, numRuns: 300 },
  );
  t.pass('after whatever was written and released');
  t.end();
});

t.test('what is released is used again', (t) => {
  const arena = new ProgramArena();
  for (let round = 0; round < 100; round++) {
    for (let chain = 0; chain < 50; chain++) arena.reserve(chain, chain + 1);
    for (let chain = 0; chain < 50; chain++) arena.release(chain);
  }
  const words = arena.code.length;
  t.ok(words < 10_000, `${words} words after 5,000 programs`);
  t.end();
});
