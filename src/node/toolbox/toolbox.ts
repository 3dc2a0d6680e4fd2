// The programs of a userspace Pod's file system.
import type { Program, ProgramTable } from '../workloads/program.ts';
import { cat, echo, env, exits, hostname, ls, sleep } from './basics.ts';
import { curl } from './curl.ts';
import { dig } from './dig.ts';
import { nc } from './nc.ts';
import { nslookup } from './nslookup.ts';
import { ping } from './ping.ts';
import { makeShell } from './shell/shell.ts';
import { traceroute } from './traceroute.ts';
import { wget } from './wget.ts';

const sh = makeShell(() => TOOLBOX);

const help: Program = async (ctx) => {
  ctx.stdout.write(`This Pod runs on @tcpip-ts; these programs are here:\n${[...TOOLBOX.keys()].sort().join(' ')}\n`);
  return 0;
};

export const TOOLBOX: ProgramTable = new Map<string, Program>([
  ['curl', curl],
  ['wget', wget],
  ['nslookup', nslookup],
  ['dig', dig],
  ['ping', ping],
  ['traceroute', traceroute],
  ['nc', nc],
  ['cat', cat],
  ['echo', echo],
  ['hostname', hostname],
  ['env', env],
  ['ls', ls],
  ['sleep', sleep],
  ['true', exits(0)],
  ['false', exits(1)],
  ['sh', sh],
  ['bash', sh],
  ['ash', sh],
  ['help', help],
]);
