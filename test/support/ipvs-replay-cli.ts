// `scripts/ipvs-replay FILE...`: plays files of the oracle's format (a scenario, a list, or {"scenarios":[...]}, each with
// results) on the emulated kernel. Prints each difference and, last, `N agree, M differ`, counted in events. Exits 1 if any
// differ, 2 when a file cannot be read.
import { readFileSync } from 'node:fs';
import { KernelWorld } from './ipvs-kernel-world.ts';
import { replay, type Scenario } from './ipvs-replay.ts';

const files = process.argv.slice(2);
if (files.length === 0) {
  process.stderr.write('usage: ipvs-replay FILE...\n');
  process.exit(2);
}
let agree = 0;
let differ = 0;
for (const file of files) {
  for (const scenario of read(file)) {
    const { events, differences } = replay(scenario, (options) => new KernelWorld(options));
    agree += events - differences.length;
    differ += differences.length;
    for (const d of differences) {
      process.stdout.write(`${d.scenario} event ${d.event} ${d.what}\n  expected ${d.expected}\n  got      ${d.got}\n`);
    }
  }
}
process.stdout.write(`${agree} agree, ${differ} differ\n`);
process.exitCode = differ > 0 ? 1 : 0;

function read(file: string): Scenario[] {
  try {
    const data = JSON.parse(readFileSync(file, 'utf8')) as Scenario | Scenario[] | { scenarios: Scenario[] };
    const scenarios = Array.isArray(data) ? data : 'scenarios' in data ? data.scenarios : [data];
    return scenarios.map((scenario, i) => ({ ...scenario, id: scenario.id ?? `${file}[${i}]` }));
  } catch (error) {
    process.stderr.write(`ipvs-replay: ${file}: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(2);
  }
}
