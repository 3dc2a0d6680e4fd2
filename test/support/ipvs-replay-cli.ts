// `scripts/ipvs-replay FILE...`: its manual is USAGE.
import { readFileSync } from 'node:fs';
import { KernelWorld } from './ipvs-kernel-world.ts';
import { replay, type Scenario } from './ipvs-replay.ts';

const USAGE = `usage: ipvs-replay FILE...

Plays files of the IPVS oracle's format (a scenario, a list of them, or {"scenarios": [...]}, each with the results of a real kernel)
on the emulated kernel, packet by packet. Prints each event whose result differs and, last, "N agree, M differ", counted in events.
Exits 1 if any differs, 2 if a file cannot be read.

What is not compared: the text of the ipvsadm tool; how an error is worded; ports that NAT chose at random; seconds left of a connection
within 2 (they vary from play to play of the oracle).

Where a packet is dropped the oracle waits 4 ms, less than a tick (10 ms) of its kernel: its results do not say whether a tick passed,
which decides whether a connection that expires with the next tick is still there. A scenario that differs is therefore played again
with a tick after dropped packets of open and close, and with one after every dropped packet; such a play counts only if every event
of the scenario agrees with it, and the number of scenarios that needed it is told.
`;

const files = process.argv.slice(2);
if (files.length === 0 || files.some((file) => file === '-h' || file === '--help')) {
  (files.length === 0 ? process.stderr : process.stdout).write(USAGE);
  process.exit(files.length === 0 ? 2 : 0);
}
let agree = 0;
let differ = 0;
let scenarios = 0;
let withTicks = 0;
for (const file of files) {
  for (const scenario of read(file)) {
    const { events, differences, ticks } = replay(scenario, (options) => new KernelWorld(options));
    scenarios++;
    if (ticks !== 'never') withTicks++;
    agree += events - differences.length;
    differ += differences.length;
    for (const d of differences) {
      process.stdout.write(`${d.scenario} event ${d.event} ${d.what}\n  expected ${d.expected}\n  got      ${d.got}\n`);
    }
  }
}
process.stdout.write(`${scenarios} scenarios, ${withTicks} of them with ticks after dropped packets (--help)\n`);
process.stdout.write(`${agree} agree, ${differ} differ\n`);
process.exitCode = differ > 0 ? 1 : 0;

function read(file: string): Scenario[] {
  try {
    const data = JSON.parse(readFileSync(file, 'utf8')) as Scenario | Scenario[] | { scenarios: Scenario[] };
    const list = Array.isArray(data) ? data : 'scenarios' in data ? data.scenarios : [data];
    return list.map((scenario, i) => ({ ...scenario, id: scenario.id ?? `${file}[${i}]` }));
  } catch (error) {
    process.stderr.write(`ipvs-replay: ${file}: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(2);
  }
}
