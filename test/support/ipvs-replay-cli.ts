// `scripts/ipvs-replay FILE...`: its manual is USAGE.
import { KernelWorld } from './ipvs-kernel-world.ts';
import { readScenarios } from './ipvs-replay-file.ts';
import { replay } from './ipvs-replay-search.ts';

const USAGE = `usage: ipvs-replay FILE...

Plays files of the IPVS oracle's format (a scenario, a list of them, or {"scenarios": [...]}, each with the results of a real kernel)
on the emulated kernel, packet by packet. Prints each event whose result differs and, last, "N agree, M differ", counted in events.
Exits 1 if any differs, and 2 if a file, or a scenario in it, cannot be read; the others are compared all the same.

What is not compared: the text of the ipvsadm tool; how an error is worded; ports that NAT chose at random; seconds left of a connection
within 2 (they vary from play to play of the oracle).

The oracle's results do not say between which packets its kernel's clock ticked, every 10 ms; yet a connection that expires with the
next tick is there before it and gone after it, and a timer fires up to an eighth of its length late, on a grid of ticks that began
when the oracle's guest was booted. First no tick falls but where a scenario waits. Where that differs, ticks are placed between
packets, at most one in a place, and the grid is shifted; what is compared is the run of ticks that agrees longest. The number of
scenarios that needed it is told.
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
let faults = 0;
for (const file of files) {
  const read = readScenarios(file);
  for (const fault of read.faults) process.stderr.write(`ipvs-replay: ${fault}\n`);
  faults += read.faults.length;
  for (const scenario of read.scenarios) {
    scenarios++;
    try {
      const { events, differences, placedTicks } = replay(scenario, (options) => new KernelWorld(options));
      if (placedTicks) withTicks++;
      agree += events - differences.length;
      differ += differences.length;
      for (const d of differences) {
        process.stdout.write(
          `${d.scenario} event ${d.event} ${d.what}\n  expected ${d.expected}\n  got      ${d.got}\n`,
        );
      }
    } catch (error) {
      // A value that no oracle would have taken, such as an address that is none.
      process.stderr.write(`ipvs-replay: ${file}: scenario ${scenario.id}: ${String(error)}\n`);
      faults++;
    }
  }
}
process.stdout.write(`${scenarios} scenarios, ${withTicks} of them with ticks placed between packets (--help)\n`);
process.stdout.write(`${agree} agree, ${differ} differ\n`);
process.exitCode = faults > 0 ? 2 : differ > 0 ? 1 : 0;
