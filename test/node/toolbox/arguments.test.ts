import t from 'tap';
import { parseArguments } from '../../../src/node/toolbox/arguments.ts';

const SPEC = { a: false, b: true, long: false, value: true };
const ALIASES = { alpha: 'a', beta: 'b' };

t.test('options and operands, as getopt_long sorts them', async (t) => {
  for (const [line, options, operands] of [
    ['x -a y', { a: [''] }, ['x', 'y']],
    ['-ab1 -b 2 -b3', { a: [''], b: ['1', '2', '3'] }, []],
    ['--alpha --beta=1=2 --beta 3', { a: [''], b: ['1=2', '3'] }, []],
    ['--long --value v', { long: [''], value: ['v'] }, []],
    ['-b -a', { b: ['-a'] }, []],
    ['- -a -- -a --x', { a: [''] }, ['-', '-a', '--x']],
    ['constructor toString', {}, ['constructor', 'toString']],
  ] as const) {
    const parsed = parseArguments(line.split(' '), SPEC, ALIASES);
    t.same(Object.fromEntries(parsed.options), options, line);
    t.same(parsed.operands, operands, line);
    t.notOk(parsed.problem, line);
  }
});

t.test('the first wrong option, and where it stands', async (t) => {
  for (const [line, problem] of [
    ['x -az', { kind: 'unknown', option: '-z', letter: 'z', written: '-az', position: 2 }],
    ['--nope=1', { kind: 'unknown', option: '--nope', letter: 'nope', written: '--nope=1', position: 1 }],
    ['--a', { kind: 'unknown', option: '--a' }],
    ['--constructor', { kind: 'unknown', option: '--constructor' }],
    ['-a -b', { kind: 'valueless', option: '-b', letter: 'b', position: 2 }],
    ['--beta', { kind: 'valueless', option: '--beta', letter: 'beta', position: 1 }],
  ] as const)
    t.match(parseArguments(line.split(' '), SPEC, ALIASES).problem, problem, line);
});

t.test('positions of values and operands', async (t) => {
  const parsed = parseArguments('-a -b 1 x -b2 -- y'.split(' '), SPEC);
  t.equal(parsed.positions.get('b'), 5);
  t.same(parsed.operandPositions, [4, 7]);
});
