// agnhost, the image of Kubernetes' own tutorials and tests, by its command line (kubernetes test/images/agnhost README, 2.5x):
// `agnhost netexec --http-port=8080` and the like stand for the workloads that answer so here. What the workload lacks is passed
// on, for it to refuse by name.
// Left out: every other subcommand, netexec's UDP and SCTP servers, /dial, /shell, /upload.

const NETEXEC_PORT = '8080';
const SERVE_HOSTNAME_PORT = '9376';

/** What runs in place of `argv`, whose first word is the program. */
export function agnhostWorkload(argv: readonly string[]): string[] {
  const [program, subcommand = 'pause', ...flags] = argv;
  switch (subcommand) {
    case 'pause':
      return ['sleep', 'infinity'];
    case 'netexec':
      return webOn(take(flags, 'http-port', NETEXEC_PORT), ['--server', 'netexec', '--netexec']);
    case 'serve-hostname':
      return webOn(take(flags, 'port', SERVE_HOSTNAME_PORT), ['--server', 'serve-hostname', '--body', '%h']);
    default:
      return [program!, subcommand, ...flags];
  }
}

function webOn({ value, rest }: Taken, as: readonly string[]): string[] {
  return ['web', '--port', value, ...as, ...rest];
}

interface Taken {
  readonly value: string;
  readonly rest: readonly string[];
}

/** A flag in both of Go's spellings, `--name=value` and `--name value`, and what is left without it. */
function take(flags: readonly string[], name: string, otherwise: string): Taken {
  const joined = flags.findIndex((flag) => flag.startsWith(`--${name}=`));
  if (joined >= 0) return { value: flags[joined]!.slice(name.length + 3), rest: flags.toSpliced(joined, 1) };
  const apart = flags.indexOf(`--${name}`);
  if (apart < 0 || apart + 1 === flags.length) return { value: otherwise, rest: flags };
  return { value: flags[apart + 1]!, rest: flags.toSpliced(apart, 2) };
}
