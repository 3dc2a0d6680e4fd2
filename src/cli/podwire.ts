#!/usr/bin/env node
// The podwire command. Each subcommand's code is loaded only when it runs: `podwire --help` stays quick.
import { readFileSync } from 'node:fs';
import { Command, InvalidArgumentError, Option } from 'commander';
import { RunDirError } from '../cluster/run-dir.ts';
import { IPVS_SCHEDULERS, PROXY_MODES } from '../proxy/config.ts';
import { CliError } from './cli-error.ts';

const version = (
  JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as { version: string }
).version;

const collect = (value: string, before: string[]): string[] => [...before, value];
const repeated = (flags: string, description: string): Option =>
  new Option(flags, description).argParser(collect).default([], 'none');
const count = (value: string): number => {
  const n = Number(value);
  if (!Number.isInteger(n) || n < 1) throw new InvalidArgumentError('expected a whole number of 1 or more.');
  return n;
};
const seconds = (value: string): number => {
  if (!/^\d{1,6}$/.test(value)) throw new InvalidArgumentError('expected a whole number of seconds.');
  return Number(value);
};
const runtimeOption = (): Option =>
  new Option(
    '--runtime <runtime>',
    'netns: real processes in namespaces (needs root); userspace: programs on @tcpip-ts; auto: netns where it can be had',
  )
    .choices(['auto', 'netns', 'userspace'])
    .default('auto');

const program = new Command('podwire')
  .description('The Kubernetes Service network, emulated packet by packet on this machine.')
  .version(version)
  .showHelpAfterError('(podwire COMMAND --help says more)')
  .enablePositionalOptions();

program
  .command('up')
  .description('start a cluster and keep it running until Ctrl-C or `podwire down`')
  .addOption(
    repeated(
      '-f, --filename <file>',
      'a manifest (YAML or JSON), a directory of them, or - to apply; may be given again',
    ),
  )
  .option('--nodes <count>', 'how many Nodes', count, 1)
  .addOption(
    new Option(
      '--proxy-mode <mode>',
      'how kube-proxy programs the Nodes; written into the store, if there is one, before they start (default: what the store has, or ipvs)',
    ).choices(PROXY_MODES),
  )
  .addOption(
    new Option(
      '--ipvs-scheduler <name>',
      'of IPVS mode; written into the store likewise (default: what the store has, or rr)',
    ).choices(IPVS_SCHEDULERS),
  )
  .addOption(runtimeOption())
  .option('--store <where>', 'memory, or a directory: then the same cluster comes back at the next start', 'memory')
  .option('--images <file>', 'more images for the catalog (YAML)')
  .option(
    '--resolv-conf <file>',
    "resolver configuration for the cluster DNS's upstream; without it outside names fail at once",
  )
  .option(
    '--listen <address:port>',
    'where the Kubernetes API listens (default: 127.0.0.1:6443, or a free port if that is taken)',
  )
  .option(
    '--kubeconfig <file>',
    'where the kubeconfig goes; one that is there is added to (default: the run directory, removed at the end)',
  )
  .option('--token-auth-file <file>', 'bearer tokens to accept: CSV lines `token,user,uid,"group1,group2"`')
  .option('--capture <file>', 'write every packet to a pcapng file from the start')
  .option('--no-offload', 'let no frame exceed the MTU')
  .option('--detach', 'return once the cluster is up, and leave it running')
  .action(async (options) => (await import('./commands/up.ts')).up(options));

program
  .command('down')
  .description('end the running cluster; nothing of it is left')
  .action(async () => (await import('./commands/down.ts')).down());

program
  .command('status')
  .description('what runs: Nodes, Pods, Services, counters')
  .addOption(new Option('-o, --output <format>').choices(['text', 'json']).default('text'))
  .action(async (options) => (await import('./commands/status.ts')).status(options));

program
  .command('doctor')
  .description('what this machine lacks for netns Pods and for the tests, and how to get it')
  .action(async () => (await import('./commands/doctor.ts')).doctor());

program
  .command('exec')
  .description('run a command in a Pod: podwire exec dev/jump -- curl ent:8080')
  .argument('<pod>', 'NAMESPACE/NAME, or NAME in default')
  .argument('<command...>', 'the command and its arguments, after --')
  .option('-c, --container <name>', 'which container; the first one when left out')
  .option('-i, --stdin', "pass this command's input on")
  .option('-t, --tty', 'give the command a terminal')
  .passThroughOptions()
  .action(async (pod, command, options) => (await import('./commands/exec.ts')).exec(pod, command, options));

program
  .command('logs')
  .description('what a container wrote')
  .argument('<pod>', 'NAMESPACE/NAME, or NAME in default')
  .option('-c, --container <name>', 'which container; the first one when left out')
  .option('-f, --follow', 'go on with what it writes, until it ends or Ctrl-C')
  .option('-p, --previous', 'of the run before the last restart')
  .action(async (pod, options) => (await import('./commands/logs.ts')).logs(pod, options));

program
  .command('demo')
  .description('the service-discovery example from end to end, explained; works without root')
  .addOption(runtimeOption())
  .option('--capture <file>', 'where the captured packets go', 'podwire-demo.pcapng')
  .action(async (options) => (await import('./commands/demo.ts')).demo(options));

program
  .command('trace')
  .description('explain what the Node does to a packet, without sending one')
  .option('--pod <pod>', 'the Pod that sends: NAMESPACE/NAME')
  .option('--from <address>', "or the sender's address, ADDRESS[:PORT]")
  .option('--to <destination>', 'HOST:PORT; HOST is an address or a name as the Pod would use it')
  .addOption(new Option('--protocol <protocol>').choices(['tcp', 'udp', 'sctp', 'icmp']).default('tcp'))
  .addOption(
    repeated(
      '-f, --filename <file>',
      'no cluster: the objects come from this manifest or directory; may be given again. A KubeProxyConfiguration and a Node may be among them',
    ),
  )
  .addOption(
    new Option(
      '--proxy-mode <mode>',
      'with -f: instead of the mode of the KubeProxyConfiguration; all: side by side',
    ).choices([...PROXY_MODES, 'all']),
  )
  .option(
    '--flows <file>',
    'many questions: a list of {name, from, to, protocol, expect?, expectByMode?}; exits 1 where an expectation does not hold',
  )
  .option('--live', 'follow the real packets of such a flow through the running Node, both ways, until Ctrl-C')
  .addOption(new Option('-o, --output <format>').choices(['text', 'json']).default('text'))
  .action(async (options) => (await import('./commands/trace.ts')).trace(options));

program
  .command('capture')
  .description('write packets as pcapng, an interface for each Pod: podwire capture -w - | tshark -r -')
  .addOption(repeated('--pod <pod>', "only this Pod's packets, NAMESPACE/NAME; may be given again"))
  .option('--node <node>', 'which Node; the first one when left out')
  .option('--service <service>', "only this Service's packets, NAMESPACE/NAME: before translation and after")
  .option('--dropped', 'what the Node drops, with the reason as a comment of the packet')
  .option('-w, --write <file>', 'where to; - is standard output', '-')
  .argument('[filter...]', "a filter in pcap-filter's language, such as: udp port 53")
  .action(async (filter, options) => (await import('./commands/capture.ts')).capture(filter, options));

program
  .command('rules')
  .description("what runs in a Node's kernel, in the real tools' own formats")
  .option('--node <node>', 'which Node; the first one when left out')
  .addOption(repeated('-f, --filename <file>', 'no cluster: what these objects would make run; may be given again'))
  .addOption(
    new Option('--proxy-mode <mode>', 'with -f: instead of the mode of the KubeProxyConfiguration').choices(
      PROXY_MODES,
    ),
  )
  .addOption(
    new Option('-o, --output <format>', "when left out, that of the proxy mode's own tool").choices([
      'iptables-save',
      'ipset-save',
      'ipvsadm-save',
      'nft',
    ]),
  )
  .action(async (options) => (await import('./commands/rules.ts')).rules(options));

program
  .command('dns')
  .description(
    'the cluster DNS alone, for the Services, EndpointSlices, Pods and Namespaces of manifests; watches them',
  )
  .addOption(
    repeated('-f, --filename <file>', 'a manifest (YAML or JSON), a directory of them, or -; may be given again'),
  )
  .option('--corefile <file>', "the configuration; without it kubeadm's, less cache and probes")
  .option('--listen <address:port>', 'where to answer, UDP and TCP; port 0: any free one', '127.0.0.1:1053')
  .option('--ttl <seconds>', "TTL of the cluster's records, in place of what the Corefile says (5)", seconds)
  .action(async (options) => (await import('./commands/dns.ts')).dns(options));

program
  .command('bench')
  .description('measure this machine: wire, kernel, proxies, stack, dns, ready, pods, scale')
  .argument('[name...]', 'which; all when left out')
  .addOption(new Option('-o, --output <format>').choices(['text', 'json']).default('text'))
  .option('--out <dir>', 'where to write the table, the plot (SVG) and the JSON of `proxies`')
  .action(async (names, options) => (await import('./commands/bench.ts')).bench(names, options));

// `su` leaves out sbin, where `ip` and what Pods run may be.
process.env['PATH'] = [process.env['PATH'], '/usr/local/sbin', '/usr/sbin', '/sbin'].filter(Boolean).join(':');

// Whoever reads what we write may go (`| head`): no failure. A command that would go on for it alone ends (trace --live, exec).
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
}

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CliError || error instanceof RunDirError)) throw error;
  process.stderr.write(`podwire: ${error.message}\n`);
  process.exitCode = error instanceof CliError ? error.exitCode : 1;
}
