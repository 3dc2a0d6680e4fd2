// CoreDNS as the program of a Pod: what `coredns -conf /etc/coredns/Corefile` finds around it there.
import type { ApiClient } from '../client/client.ts';
import type { Clock } from '../lib/clock.ts';
import type { Rng } from '../lib/rng.ts';
import type { Stack } from '../tcpip-ts/stack.ts';
import { formatIPv4 } from '../tcpip-ts/wire/address.ts';
import { runCoreDns } from './run.ts';
import { stackSockets } from './stack-sockets.ts';

const RESOLV_CONF = '/etc/resolv.conf';
const DEFAULT_COREFILE = 'Corefile';

/** The part of a userspace Pod's process that is used; src/node/workloads/program.ts ProcessContext fits. */
export interface PodProcess {
  /** argv[0] is the program. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly stdout: { write(text: string): unknown };
  readonly stderr: { write(text: string): unknown };
  readonly stack: Stack;
  readonly files: { read(path: string): string | undefined };
  /** Host order. */
  readonly podIP: number;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly api?: ApiClient;
  readonly signal: AbortSignal;
}

/** Resolves with the exit code. Flags: -conf FILE, -dns.port PORT (or -p). */
export async function coreDnsInPod(process: PodProcess): Promise<number> {
  const { argv, env, stdout, stderr, stack, files, podIP, clock, rng, api, signal } = process;
  const flags = parseFlags(argv.slice(1));
  if (typeof flags === 'string') {
    stderr.write(`${flags}\n`);
    return 2;
  }
  const path = flags.conf;
  return runCoreDns({
    sockets: stackSockets(stack),
    ...(api === undefined ? {} : { client: api }),
    corefile: { path, read: () => files.read(path) ?? missing(path) },
    clock,
    rng,
    log: (line) => void stdout.write(`${line}\n`),
    signal,
    localAddresses: [formatIPv4(podIP)],
    resolvConf: files.read(RESOLV_CONF) ?? '',
    env,
    readFile: (name) => files.read(name),
    defaultPort: flags.port,
  });
}

/** The flags, or what is wrong with them in Go's words. */
function parseFlags(args: readonly string[]): { conf: string; port: number } | string {
  let conf = DEFAULT_COREFILE;
  let port = 53;
  for (let i = 0; i < args.length; i++) {
    const [, flag, inline] = /^--?([^=]+)(?:=(.*))?$/.exec(args[i]!) ?? [];
    if (flag === undefined) return `extra command line arguments: [${args.slice(i).join(' ')}]`;
    if (flag !== 'conf' && flag !== 'dns.port' && flag !== 'p') return `flag provided but not defined: -${flag}`;
    const value = inline ?? args[++i];
    if (value === undefined) return `flag needs an argument: -${flag}`;
    if (flag === 'conf') {
      conf = value;
    } else {
      port = Number(value);
      if (!Number.isInteger(port) || port < 1 || port > 65535)
        return `invalid value "${value}" for flag -${flag}: parse error`;
    }
  }
  return { conf, port };
}

function missing(path: string): never {
  throw new Error(`open ${path}: no such file or directory`);
}
