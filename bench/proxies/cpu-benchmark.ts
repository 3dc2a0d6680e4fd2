// benchmark.js on CPU time instead of the clock on the wall, which other programs of the machine disturb: the same library in a context
// of its own, whose process.hrtime() tells the CPU time of this process.
import Benchmark from 'benchmark';

/** What @types/benchmark leaves out. */
interface Library {
  runInContext(context: object): typeof Benchmark & { support: { decompilation: boolean } };
}

type CpuBenchmarkClass = new (name: string, options: Benchmark.Options) => Benchmark & { readonly error?: Error };

function cpuTime(since: readonly [number, number] = [0, 0]): [seconds: number, nanoseconds: number] {
  const { user, system } = process.cpuUsage();
  const ns = (user + system) * 1000 - since[0] * 1e9 - since[1];
  return [Math.floor(ns / 1e9), ns % 1e9];
}

const library = (Benchmark as unknown as Library).runInContext({ process: { hrtime: cpuTime } });
// It pastes the source of functions together where it can; ours are closures.
library.support.decompilation = false;

export const CpuBenchmark = library as unknown as CpuBenchmarkClass;
