// What a real Linux 6.1 decided, connection by connection, against the emulated kernel's whole path.
import { existsSync, readFileSync } from 'node:fs';
import t from 'tap';
import { KernelWorld } from '../../support/ipvs-kernel-world.ts';
import type { Scenario } from '../../support/ipvs-replay-file.ts';
import { type Difference, replay } from '../../support/ipvs-replay-search.ts';

/** From dist/test/kernel/ipvs or test/kernel/ipvs, whichever holds this file, to the repository. */
const root = import.meta.url.replace(/\/(dist[^/]*\/)?test\/kernel\/ipvs\/[^/]*$/, '/');
const SAMPLE = new URL('test/fixtures/ipvs-vectors.json', root);
/** Scenarios made at random, each kind of event among them. */
const RANDOM = new URL('test/fixtures/ipvs-random.json', root);
const ALL = new URL('../shared/reference/ipvs/vectors.json', root);

function scenariosOf(url: URL): Scenario[] {
  return (JSON.parse(readFileSync(url, 'utf8')) as { scenarios: Scenario[] }).scenarios;
}

function play(scenarios: readonly Scenario[]): {
  events: number;
  differences: Difference[];
} {
  let events = 0;
  const differences: Difference[] = [];
  for (const scenario of scenarios) {
    const result = replay(scenario, (options) => new KernelWorld(options));
    events += result.events;
    differences.push(...result.differences);
  }
  return { events, differences };
}

t.test('the sampled scenarios of the real kernel come out the same', (t) => {
  for (const [config, scenarios] of group([...scenariosOf(SAMPLE), ...scenariosOf(RANDOM)])) {
    const { events, differences } = play(scenarios);
    t.same(differences, [], `${config}: ${events} events`);
  }
  t.end();
});

t.test(
  'all scenarios of the real kernel come out the same',
  { skip: !existsSync(ALL) && 'reference/ipvs/vectors.json is not here' },
  (t) => {
    const { events, differences } = play(scenariosOf(ALL));
    t.same(differences.slice(0, 5), [], `${events} events, ${differences.length} differ`);
    t.ok(events > 28_000);
    t.end();
  },
);

function group(scenarios: readonly Scenario[]): Map<string, Scenario[]> {
  const groups = new Map<string, Scenario[]>();
  for (const s of scenarios) groups.set(s.config ?? '', [...(groups.get(s.config ?? '') ?? []), s]);
  return groups;
}
