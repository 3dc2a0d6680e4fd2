// scripts/ipvs-replay: what it says and how it ends, whatever it is given; and what it makes of ticks that the results leave open.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { KernelWorld } from '../../support/ipvs-kernel-world.ts';
import type { Result, Scenario } from '../../support/ipvs-replay-file.ts';
import { replay } from '../../support/ipvs-replay-search.ts';

const SCRIPT = fileURLToPath(new URL('../../../../scripts/ipvs-replay', import.meta.url));

const SYN = { src: '192.0.2.7', sport: 1000 };
const SERVER = '10.244.0.1:8080';
const SCENARIO = {
  scheduler: 'rr',
  protocol: 'tcp',
  vip: '10.96.0.10',
  port: 80,
  dests: [{ ip: '10.244.0.1', port: 8080, weight: 1 }],
  events: [{ syn: SYN }],
  results: [{ to: SERVER, c: [1, 0, 0] }],
};

function run(t: Test, files: Record<string, unknown>, more: readonly string[] = []) {
  const dir = t.testdir();
  const paths = Object.entries(files).map(([name, content]) => {
    writeFileSync(`${dir}/${name}`, typeof content === 'string' ? content : JSON.stringify(content));
    return `${dir}/${name}`;
  });
  const { status, stdout, stderr } = spawnSync(SCRIPT, [...paths, ...more], { encoding: 'utf8' });
  return { status, stderr, last: stdout.trimEnd().split('\n').at(-1) };
}

t.test('a scenario, a list of them and an object with a list are files', (t) => {
  const files = { 'one.json': SCENARIO, 'list.json': [SCENARIO, SCENARIO], 'object.json': { scenarios: [SCENARIO] } };
  t.same(run(t, files), { status: 0, stderr: '', last: '4 agree, 0 differ' });
  t.end();
});

t.test('a difference is told and makes it fail', (t) => {
  t.match(run(t, { 'x.json': { ...SCENARIO, results: [{ drop: true }] } }), { status: 1, last: '0 agree, 1 differ' });
  t.end();
});

t.test('what cannot be read is named, and the rest is compared all the same', (t) => {
  const files = {
    'broken.json': '{"scenarios": [',
    'null.json': 'null',
    'noresults.json': { ...SCENARIO, results: undefined },
    'short.json': { ...SCENARIO, results: [] },
    'failed.json': { ...SCENARIO, results: undefined, error: 'Traceback\n OSError: [Errno 34]' },
    'noaddress.json': { ...SCENARIO, vip: 'nowhere' },
    'noscheduler.json': { ...SCENARIO, scheduler: undefined },
    'good.json': SCENARIO,
  };
  const { status, stderr, last } = run(t, files, ['/nonexistent.json']);
  t.equal(status, 2);
  t.equal(last, '1 agree, 0 differ');
  for (const name of [...Object.keys(files).slice(0, -1), '/nonexistent.json']) t.match(stderr, name);
  t.match(stderr, 'no such file');
  t.match(stderr, 'no "scheduler"');
  t.match(stderr, '1 events, but no "results" to compare with');
  t.match(stderr, 'the oracle could not play it: OSError: [Errno 34]');
  t.notMatch(stderr, /\n {4}at /, 'no stack traces');
  t.end();
});

t.test('fields it does not know are left alone, and so is an event the oracle did not know', (t) => {
  const events = [{ syn: { ...SYN, colour: 'red' }, note: 'x' }, { jump: {} }];
  const results = [...SCENARIO.results, { error: 'unknown event jump' }];
  t.match(run(t, { 'x.json': { ...SCENARIO, author: 'me', events, results } }), {
    status: 0,
    last: '2 agree, 0 differ',
  });
  t.end();
});

t.test('without files it explains itself', (t) => {
  t.match(run(t, {}), { status: 2, stderr: /^usage: ipvs-replay FILE/ });
  t.end();
});

t.test('a connection put aside goes with a tick that the results place, but no tick explains a wrong server', (t) => {
  // A SYN reuses a closed connection's port: the old entry counts until the next tick.
  const other = { src: '192.0.2.8', sport: 1 };
  const reuse = (results: Result[]): Scenario => ({
    ...(SCENARIO as unknown as Scenario),
    id: 'reuse',
    nat: false,
    sysctl: { conntrack: 0, conn_reuse_mode: 1 },
    events: [{ syn: SYN }, { srst: SYN }, { syn: SYN }, { syn: other }, { syn: { ...other, sport: 2 } }],
    results: [{ to: SERVER, c: [1, 0, 0] }, { reply: '10.96.0.10:80' }, { to: SERVER, c: [1, 1, 0] }, ...results],
  });
  const play = (results: Result[]) => {
    const { differences, placedTicks } = replay(reuse(results), (options) => new KernelWorld(options));
    return { differences: differences.length, placedTicks };
  };
  const at = (c: number[], to = SERVER): Result => ({ to, c });
  t.same(play([at([2, 1, 0]), at([3, 1, 0])]), { differences: 0, placedTicks: false });
  t.same(play([at([2, 0, 0]), at([3, 0, 0])]), { differences: 0, placedTicks: true });
  t.same(play([at([2, 1, 0]), at([3, 0, 0])]), { differences: 0, placedTicks: true });
  t.same(play([at([2, 0, 0]), at([3, 1, 0])]), { differences: 1, placedTicks: false }, 'it does not come back');
  t.same(play([at([2, 1, 0]), at([3, 1, 0], '10.244.0.2:8080')]), { differences: 1, placedTicks: false });
  t.end();
});
