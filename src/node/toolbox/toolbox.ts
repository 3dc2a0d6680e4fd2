// The programs of a userspace Pod's file system.
import type { Program, ProgramTable } from '../workloads/program.ts';
import { date, echo, env, exits, hostname, printenv, printf, prints, seq, sleep } from './basics.ts';
import { test } from './condition.ts';
import { curl } from './curl/curl.ts';
import { dig } from './dig/dig.ts';
import { cat, ls, rm, tee } from './files.ts';
import { nc } from './nc.ts';
import { nslookup } from './nslookup.ts';
import { ping } from './ping.ts';
import { makeShell } from './shell/shell.ts';
import { grep, head, sort, tail, uniq, wc } from './text.ts';
import { traceroute } from './traceroute.ts';
import { wget } from './wget.ts';

const sh = makeShell(() => TOOLBOX);

const help = prints(
  () => `This Pod runs on @tcpip-ts; these programs are here:\n${[...TOOLBOX.keys()].sort().join(' ')}`,
);

/** `busybox wget ...` is `wget ...`. */
const busybox: Program = async (ctx) => {
  const [name = 'help', ...args] = ctx.argv.slice(1);
  const program = TOOLBOX.get(name);
  if (program) return program({ ...ctx, argv: [name, ...args] });
  ctx.stderr.write(`${name}: applet not found\n`);
  return 127;
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
  ['date', date],
  ['echo', echo],
  ['env', env],
  ['grep', grep],
  ['head', head],
  ['hostname', hostname],
  ['id', prints(() => 'uid=0(root) gid=0(root) groups=0(root)')],
  ['ls', ls],
  ['printenv', printenv],
  ['printf', printf],
  ['pwd', prints((ctx) => ctx.cwd)],
  ['rm', rm],
  ['seq', seq],
  ['sleep', sleep],
  ['sort', sort],
  ['tail', tail],
  ['tee', tee],
  ['test', test],
  ['[', test],
  ['true', exits(0)],
  ['false', exits(1)],
  ['uniq', uniq],
  ['wc', wc],
  ['whoami', prints(() => 'root')],
  ['sh', sh],
  ['bash', sh],
  ['ash', sh],
  ['busybox', busybox],
  ['help', help],
]);
