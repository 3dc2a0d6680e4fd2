// podwire dns: the cluster DNS alone, on this machine's sockets, for the objects of manifest files. No cluster, no root.
// Emulates CoreDNS with kubeadm's Corefile, less what makes no sense outside a cluster: no cache, so that an edited file shows at
// once, and no ports for health, readiness and metrics. With --corefile the Corefile says it all.
import { isIP } from 'node:net';
import { hostname, networkInterfaces } from 'node:os';
import type { KubeObject } from '../../api/meta.ts';
import { ManifestObjects, readDnsObjects } from '../../dns/manifest-objects.ts';
import { nodeSockets } from '../../dns/node-sockets.ts';
import { runCoreDns } from '../../dns/run.ts';
import { RealClock } from '../../lib/clock.ts';
import { unseededRng } from '../../lib/rng.ts';
import { CliError } from '../cli-error.ts';
import { manifestFiles, readText, watchFiles } from '../watched-files.ts';

export interface DnsOptions {
  readonly filename: readonly string[];
  readonly corefile?: string;
  readonly listen: string;
  readonly ttl?: number;
}

const RESOLV_CONF = '/etc/resolv.conf';
const MAX_TTL_S = 3600;
const DEFAULT_COREFILE = `.:53 {
    errors
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
    }
    forward . /etc/resolv.conf {
        max_concurrent 1000
    }
    loadbalance
}
`;

export async function dns(options: DnsOptions): Promise<void> {
  const { address, port } = parseListen(options.listen);
  const { filename, corefile, ttl } = options;
  if (filename.length === 0)
    throw new CliError('dns: no objects to serve; give manifests with -f FILE', { exitCode: 2 });
  if (ttl !== undefined && ttl > MAX_TTL_S)
    throw new CliError(`dns: --ttl ${ttl}: expected 0 to ${MAX_TTL_S} seconds`, { exitCode: 2 });
  const print = (line: string): void => void process.stdout.write(`${line}\n`);
  const objects = new ManifestObjects();
  const read = reader(print);
  const load = (): void => objects.replace(manifestFiles(filename).flatMap(read));
  try {
    load();
    if (corefile !== undefined) readText(corefile);
  } catch (error) {
    throw new CliError((error as Error).message, { cause: error });
  }
  const stopWatching = watchFiles(filename, () => {
    try {
      load();
    } catch (error) {
      print(`[ERROR] manifests changed but could not be read, the old ones stay: ${(error as Error).message}`);
    }
  });
  const abort = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => abort.abort());
  const code = await runCoreDns({
    sockets: nodeSockets(address),
    objects,
    corefile: corefile === undefined ? DEFAULT_COREFILE : { path: corefile, read: () => readText(corefile) },
    clock: new RealClock(),
    rng: unseededRng(),
    log: print,
    signal: abort.signal,
    localAddresses: localAddresses(address),
    resolvConf: textOf(RESOLV_CONF) ?? '',
    env: { HOSTNAME: hostname(), ...process.env },
    readFile: (path) => textOf(path),
    dnsPort: port,
    boundElsewhere: true,
    ...(ttl === undefined ? {} : { ttlS: ttl }),
    onListening: (ports) => {
      for (const open of ports)
        print(`listening on ${address.includes(':') ? `[${address}]` : address}:${open} (udp, tcp)`);
    },
  });
  stopWatching();
  process.exitCode = code;
}

/** Reads a file's objects; tells once of what is odd about it. */
function reader(print: (line: string) => void): (file: string) => KubeObject[] {
  const told = new Set<string>();
  let stdin: string | undefined;
  return (file) => {
    const warn = (what: string): void => {
      const line = `[WARNING] ${file}: ${what}`;
      if (told.has(line)) return;
      told.add(line);
      print(line);
    };
    // Standard input can be read once; it stays as it was when files change.
    const text = file === '-' ? (stdin ??= readText(file)) : readText(file);
    return readDnsObjects(text, file, warn);
  };
}

/** `127.0.0.1:1053`, `[::1]:0`, `:5353` or `5353`. */
function parseListen(text: string): { address: string; port: number } {
  const match = /^(?:(?:\[([^\]]+)\]|([^:]*)):)?(\d{1,5})$/.exec(text);
  const address = match?.[1] ?? (match?.[2] || '127.0.0.1');
  if (match === null || isIP(address) === 0 || Number(match[3]) > 65535)
    throw new CliError(`dns: --listen ${text}: expected ADDRESS:PORT, such as 127.0.0.1:1053`, { exitCode: 2 });
  return { address, port: Number(match[3]) };
}

/**
 * What the server calls its own addresses (CoreDNS plugin/kubernetes/local.go): the one it listens on, or all of the machine's but
 * loopback. Deviation: loopback counts too when it is what it listens on, where CoreDNS would have none.
 */
function localAddresses(address: string): string[] {
  if (address !== '0.0.0.0' && address !== '::') return [address];
  return Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter((entry) => !entry.internal && !entry.address.startsWith('fe80:'))
    .map((entry) => entry.address);
}

function textOf(file: string): string | undefined {
  try {
    return readText(file);
  } catch {
    return undefined;
  }
}
