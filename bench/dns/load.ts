// dnsperf against the cluster DNS and its peers, each in its place: Podwire's behind the kube-dns ClusterIP, asked from a netns
// Pod over its TAP; dnsmasq and unbound in a namespace of their own behind a veth pair of the kernel, with the same names as local data.
// One thread each, as CoreDNS here has one. Percentiles come from a second, slow run: dnsperf then prints every reply's time.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseManifests } from '../../src/api/manifest.ts';
import { launch, type Running } from '../../src/cli/launch.ts';
import { onEnd, scratch } from '../clean-up.ts';
import { runInPod } from '../cluster/run-in-pod.ts';
import { isInstalled } from '../wire/contender.ts';

export interface Contender {
  readonly name: string;
  /** Where dnsperf runs. */
  readonly netns: string;
  readonly server: string;
  close(): Promise<void>;
}

export interface Load {
  readonly queriesPerSecond: number;
  readonly lost: number;
  readonly averageMs: number;
}

export interface Latency {
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
}

export interface Name {
  readonly name: string;
  readonly address: string;
}

const SERVER = '198.18.0.2';
const READY_LIMIT_MS = 60_000;

/** The names there are: Services spread over ten namespaces. */
export function names(count: number): Name[] {
  return Array.from({ length: count }, (_, i) => ({
    name: `svc-${i}.bench-${i % 10}.svc.cluster.local`,
    address: `10.${100 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`,
  }));
}

/** dnsperf's input: of ten questions eight have an address, one has none of its kind, and one name does not exist. */
export function questions(list: readonly Name[]): string {
  const lines = list.map(({ name }, i) => {
    if (i % 10 === 8) return `${name} AAAA`;
    return i % 10 === 9 ? `none-${name} A` : `${name} A`;
  });
  return `${lines.join('\n')}\n`;
}

function manifests(list: readonly Name[]): string {
  const docs = [
    'apiVersion: v1\nkind: Pod\nmetadata: {name: client}\nspec:\n  containers: [{name: c, image: busybox, args: [sleep, infinity]}]',
  ];
  for (let i = 0; i < 10; i++) docs.push(`apiVersion: v1\nkind: Namespace\nmetadata: {name: bench-${i}}`);
  for (const { name, address } of list) {
    const [service, namespace] = name.split('.');
    docs.push(
      `apiVersion: v1\nkind: Service\nmetadata: {name: ${service}, namespace: ${namespace}}\n` +
        `spec: {clusterIP: ${address}, ports: [{name: http, port: 80}]}`,
    );
  }
  return docs.join('\n---\n');
}

export interface Cluster extends Contender {
  readonly running: Running;
}

export async function podwire(list: readonly Name[]): Promise<Cluster> {
  const { dir, remove } = scratch();
  process.env['PODWIRE_RUN_DIR'] = join(dir, 'run');
  const starting = launch({ nodes: 1, runtime: 'netns', offload: true }, () => {});
  const stop = onEnd(async () => (await starting).stop());
  const running = await starting;
  await running.cluster.apply(parseManifests(manifests(list), 'bench.yml'), () => {});
  const last = list.at(-1)!;
  const end = Date.now() + READY_LIMIT_MS;
  for (;;) {
    const argv = ['dig', '+short', '+time=1', '+tries=1', last.name];
    const { output } = await runInPod(running.cluster, 'default', 'client', argv).catch(() => ({ output: '' }));
    if (output.includes(last.address)) break;
    if (Date.now() > end) throw new Error(`no answer for ${last.name}: ${output}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return {
    name: 'Podwire',
    netns: `${running.dir.netnsPrefix}default_client`,
    server: '10.96.0.10',
    running,
    async close() {
      await stop();
      await remove();
    },
  };
}

export function dnsmasq(list: readonly Name[]): Promise<Contender> {
  return behindVeth(
    'dnsmasq',
    (dir) => {
      writeFileSync(join(dir, 'hosts'), list.map(({ name, address }) => `${address} ${name}\n`).join(''));
      return [
        'dnsmasq',
        ...['--keep-in-foreground', '--conf-file=/dev/null', '--no-resolv', '--no-hosts', '--pid-file', '--user=root'],
        ...[
          `--addn-hosts=${join(dir, 'hosts')}`,
          '--local=/cluster.local/',
          '--local-ttl=30',
          '--dns-forward-max=10000',
        ],
        ...[`--listen-address=${SERVER}`, '--bind-interfaces'],
      ];
    },
    list,
  );
}

export function unbound(list: readonly Name[]): Promise<Contender> {
  return behindVeth(
    'unbound',
    (dir) => {
      const lines = [
        'server:',
        ...[' do-daemonize: no', ' chroot: ""', ' username: ""', ' use-syslog: no', ' pidfile: ""', ' num-threads: 1'],
        ...[` directory: "${dir}"`, ` interface: ${SERVER}`, ' access-control: 0.0.0.0/0 allow', ' verbosity: 0'],
        ' local-zone: "cluster.local." static',
        ...list.map(({ name, address }) => ` local-data: "${name}. 30 IN A ${address}"`),
      ];
      writeFileSync(join(dir, 'unbound.conf'), `${lines.join('\n')}\n`);
      return ['unbound', '-d', '-c', join(dir, 'unbound.conf')];
    },
    list,
  );
}

/** Starts a server in one namespace, with the client's beside it. */
async function behindVeth(name: string, command: (dir: string) => string[], list: readonly Name[]): Promise<Contender> {
  if (!isInstalled(name)) throw new Error(`${name} is not installed`);
  const { dir, remove } = scratch();
  const tag = `pwb${process.pid}${name.slice(0, 2)}`;
  const [client, server] = [`${tag}c`, `${tag}s`];
  const ip = (...args: string[]): void => void execFileSync('ip', args, { stdio: 'pipe' });
  let child: ChildProcess | undefined;
  const takeDown = onEnd(async () => {
    if (child !== undefined && child.exitCode === null) {
      const gone = new Promise((resolve) => child!.once('exit', resolve));
      child.kill('SIGTERM');
      await gone;
    }
    for (const netns of [client, server]) {
      try {
        ip('netns', 'del', netns);
      } catch {
        // It was never made.
      }
    }
  });
  const close = async (): Promise<void> => {
    await takeDown();
    await remove();
  };
  try {
    ip('netns', 'add', client);
    ip('netns', 'add', server);
    ip('-n', client, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', server);
    for (const [netns, address] of [
      [client, '198.18.0.1'],
      [server, SERVER],
    ] as const) {
      ip('-n', netns, 'addr', 'add', `${address}/24`, 'dev', 'eth0');
      ip('-n', netns, 'link', 'set', 'lo', 'up');
      ip('-n', netns, 'link', 'set', 'eth0', 'up');
    }
    child = spawn('ip', ['netns', 'exec', server, ...command(dir)], { stdio: 'ignore' });
    const { name: host, address } = list.at(-1)!;
    const end = Date.now() + READY_LIMIT_MS;
    for (;;) {
      const dig = ['netns', 'exec', client, 'dig', '+short', '+time=1', '+tries=1', `@${SERVER}`, host];
      try {
        if (execFileSync('ip', dig, { encoding: 'utf8', stdio: 'pipe' }).includes(address)) break;
      } catch {
        // Not there yet.
      }
      if (Date.now() > end || child.exitCode !== null) throw new Error(`${name} does not answer`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    return { name, netns: client, server: SERVER, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function dnsperf({ netns, server }: Contender, file: string, args: readonly string[]): Promise<string> {
  const child = spawn('ip', ['netns', 'exec', netns, 'dnsperf', '-s', server, '-d', file, ...args], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  return new Promise((resolve) => child.once('close', () => resolve(text)));
}

function figure(text: string, label: string): number {
  const match = new RegExp(`${label}:\\s+([0-9.]+)`).exec(text);
  if (match === null) throw new Error(`dnsperf printed no "${label}":\n${text}`);
  return Number(match[1]);
}

/** As many as it can: a hundred outstanding, from ten clients. */
export async function load(contender: Contender, file: string, seconds: number): Promise<Load> {
  const text = await dnsperf(contender, file, ['-l', String(seconds), '-c', '10', '-q', '100', '-t', '2']);
  return {
    queriesPerSecond: Math.round(figure(text, 'Queries per second')),
    lost: figure(text, 'Queries lost'),
    averageMs: figure(text, 'Average Latency \\(s\\)') * 1000,
  };
}

/** At a rate all bear with ease. */
export async function latency(contender: Contender, file: string, seconds: number): Promise<Latency> {
  const text = await dnsperf(contender, file, ['-l', String(seconds), '-c', '4', '-Q', '2000', '-v', '-t', '2']);
  const times = [...text.matchAll(/^> \S+ \S+ \S+ ([0-9.]+)$/gm)].map((m) => Number(m[1]) * 1000).sort((a, b) => a - b);
  if (times.length === 0) throw new Error('dnsperf -v printed no times');
  const at = (q: number): number => times[Math.min(times.length - 1, Math.floor(q * times.length))]!;
  return { p50Ms: at(0.5), p90Ms: at(0.9), p99Ms: at(0.99) };
}
