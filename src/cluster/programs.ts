// Every program that a userspace Pod can run: the workloads of the built-in images and the toolbox.
import { coreDnsInPod } from '../dns/pod.ts';
import { TOOLBOX } from '../node/toolbox/toolbox.ts';
import type { Program, ProgramTable } from '../node/workloads/program.ts';
import { web } from '../node/workloads/web.ts';

export const PROGRAMS: ProgramTable = new Map<string, Program>([...TOOLBOX, ['web', web], ['coredns', coreDnsInPod]]);
