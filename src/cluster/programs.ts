// Every program that a userspace Pod can run: the workloads of the built-in images and the toolbox.
import { runCoreDns } from '../dns/coredns.ts';
import { TOOLBOX } from '../node/toolbox/toolbox.ts';
import type { Program, ProgramTable } from '../node/workloads/program.ts';
import { web } from '../node/workloads/web.ts';
import type { ClusterSettings } from './settings.ts';

export function programs(_settings: ClusterSettings): ProgramTable {
  return new Map<string, Program>([...TOOLBOX, ['web', web], ['coredns', coredns]]);
}

const coredns: Program = async (ctx) => {
  if (!ctx.api) throw new Error('coredns: no API access');
  return runCoreDns(ctx as never);
};
