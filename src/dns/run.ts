// The process CoreDNS is: reads the Corefile, starts, prints what CoreDNS prints, reloads when told to, and ends on a signal
// (coremain/run.go, plugin/reload/reload.go).
import type { ApiClient } from '../client/client.ts';
import type { Clock, Timer } from '../lib/clock.ts';
import { Registry } from '../lib/metrics.ts';
import type { Rng } from '../lib/rng.ts';
import { CorefileError } from './corefile/dispenser.ts';
import type { Environment } from './corefile/parser.ts';
import { HttpEndpoints } from './http-endpoints.ts';
import { DEFAULT_PORT, Instance } from './instance.ts';
import { apiSource, type ObjectSource } from './plugin/kubernetes/source.ts';
import type { Host } from './plugin/plugin.ts';
import type { DnsSockets } from './sockets.ts';

/** The release whose behaviour this is; the second half of the line says that it is not that program. */
const VERSION = '1.14.7 (emulated by podwire 0.1.0)';

/** What is read at start and, with the plugin `reload`, again and again. */
export interface CorefileSource {
  /** For messages. */
  readonly path: string;
  read(): string | Promise<string>;
}

export interface CoreDnsOptions {
  readonly sockets: DnsSockets;
  /** The API; absent, the kubernetes plugin cannot be used unless `objects` is given. */
  readonly client?: ApiClient;
  /** Objects from elsewhere than the API. */
  readonly objects?: ObjectSource;
  readonly corefile: string | CorefileSource;
  readonly clock: Clock;
  readonly rng: Rng;
  /** One line of the process's output, without its end. */
  readonly log: (line: string) => void;
  /** Its abort is SIGTERM. */
  readonly signal: AbortSignal;
  /** Own addresses as text, loopback excluded. */
  readonly localAddresses: readonly string[];
  /** Text of /etc/resolv.conf; '' or without a name server: nothing is forwarded. */
  readonly resolvConf: string;
  readonly env?: Environment;
  /** Files that directives name; undefined when there is no such file. */
  readonly readFile?: (path: string) => string | undefined;
  readonly defaultPort?: number;
  /** Stands in for port 53, whether the Corefile names it or not; 0: any free one. */
  readonly dnsPort?: number;
  /** The plugin bind names own addresses, but listens nowhere. */
  readonly boundElsewhere?: boolean;
  /** The TTL of the kubernetes plugin's records, whatever the Corefile says. Seconds. */
  readonly ttlS?: number;
  /** Called once the servers answer, with their ports. */
  readonly onListening?: (ports: readonly number[]) => void;
}

/** Runs until the signal; resolves with the exit code: 0 after a signal, 1 when it could not start or had to give up. */
export async function runCoreDns(options: CoreDnsOptions): Promise<number> {
  return new Process(options).run();
}

class Process {
  readonly #options: CoreDnsOptions;
  readonly #host: Host;
  readonly #source: CorefileSource;
  readonly #ended: Promise<number>;
  #end: (code: number) => void = () => {};
  #instance: Instance | undefined;
  #text = '';
  /** Of the configuration that the metrics show. */
  #hash: string | undefined;
  /** Asked for by the configuration that is being set up. */
  #wantedIntervalUs: number | undefined;
  #timer: Timer | undefined;

  constructor(options: CoreDnsOptions) {
    this.#options = options;
    const { corefile, clock, log } = options;
    this.#source = typeof corefile === 'string' ? { path: 'Corefile', read: () => corefile } : corefile;
    this.#ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    const metrics = new Registry();
    this.#host = {
      clock,
      rng: options.rng,
      sockets: options.sockets,
      http: new HttpEndpoints(options.sockets),
      metrics,
      objects: options.objects ?? (options.client === undefined ? undefined : apiSource(options.client, clock)),
      resolvConf: options.resolvConf,
      version: VERSION,
      hostname: options.env?.['HOSTNAME'] ?? 'localhost',
      localAddresses: options.localAddresses,
      boundElsewhere: options.boundElsewhere ?? false,
      ttlS: options.ttlS,
      readFile: options.readFile ?? (() => undefined),
      log,
      fatal: (line) => {
        log(`[FATAL] ${line}`);
        this.#end(1);
      },
      watchCorefile: (intervalUs) => {
        this.#wantedIntervalUs = intervalUs;
      },
    };
    const labels = ['version', 'revision', 'goversion'];
    const info = metrics.gauge(
      'coredns_build_info',
      'A metric with a constant 1 value labeled by version and runtime.',
      labels,
    );
    info.with(VERSION, '', `node${process.version}`).value = 1;
  }

  async run(): Promise<number> {
    const { signal, log } = this.#options;
    if (signal.aborted) return 0;
    const onAbort = (): void => this.#end(0);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      this.#text = await this.#source.read();
      const instance = this.#make(this.#text);
      await instance.start();
      this.#instance = instance;
    } catch (error) {
      log(messageOf(error));
      signal.removeEventListener('abort', onAbort);
      return 1;
    }
    for (const line of this.#instance.banner) log(line);
    this.#announce();
    log(`CoreDNS-${VERSION}`);
    log(`${process.platform}/${process.arch === 'x64' ? 'amd64' : process.arch}, node ${process.version}, not Go`);
    this.#options.onListening?.(this.#instance.ports);
    const code = await this.#ended;
    this.#timer?.cancel();
    signal.removeEventListener('abort', onAbort);
    if (code === 0) log('[INFO] SIGTERM: Shutting down servers then terminating');
    await this.#instance.stop();
    return code;
  }

  #make(text: string): Instance {
    this.#wantedIntervalUs = undefined;
    const { env = {}, defaultPort = DEFAULT_PORT, dnsPort = DEFAULT_PORT } = this.#options;
    const panics = this.#host.metrics
      .counter('coredns_panics_total', 'A metrics that counts the number of panics.')
      .with();
    const options = { filename: this.#source.path, corefile: text, env, defaultPort, dnsPort };
    return new Instance(options, this.#host, (error) => {
      panics.value++;
      this.#options.log(
        `[ERROR] Recovered from panic in server: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
      );
    });
  }

  /** What the plugin reload says at start, and its next look at the Corefile. */
  #announce(): void {
    if (this.#wantedIntervalUs === undefined) return;
    const { sha512 } = this.#instance!;
    this.#options.log(`[INFO] plugin/reload: Running configuration SHA512 = ${sha512}`);
    const { metrics } = this.#host;
    metrics.counter('coredns_reload_failed_total', 'Counter of the number of failed reload attempts.').with();
    const info = 'A metric with a constant 1 value labeled by hash, and value which type of hash generated.';
    const hashes = metrics.gauge('coredns_reload_version_info', info, ['hash', 'value']);
    if (this.#hash !== undefined) hashes.without('sha512', this.#hash);
    this.#hash = sha512;
    hashes.with('sha512', sha512).value = 1;
    this.#schedule(this.#wantedIntervalUs);
  }

  #schedule(intervalUs: number): void {
    this.#timer = this.#options.clock.after(intervalUs, () => {
      this.#look(intervalUs).catch((error: unknown) =>
        this.#options.log(`[ERROR] Corefile changed but reload failed: ${String(error)}`),
      );
    });
  }

  async #look(intervalUs: number): Promise<void> {
    let text: string;
    try {
      text = await this.#source.read();
    } catch {
      this.#schedule(intervalUs);
      return;
    }
    if (text === this.#text) {
      this.#schedule(intervalUs);
      return;
    }
    // The same text is not tried again, even if it is wrong.
    this.#text = text;
    const { log } = this.#options;
    log('[INFO] Reloading');
    try {
      const next = this.#make(text);
      await next.start(this.#instance);
      this.#instance = next;
    } catch (error) {
      this.#host.metrics
        .counter('coredns_reload_failed_total', 'Counter of the number of failed reload attempts.')
        .with().value++;
      log(`[ERROR] Restart failed: ${error instanceof Error ? error.message : String(error)}`);
      log(
        `[ERROR] Corefile changed but reload failed: starting with listener file descriptors: ${error instanceof Error ? error.message : String(error)}`,
      );
      this.#schedule(intervalUs);
      return;
    }
    this.#announce();
    log('[INFO] Reloading complete');
  }
}

/** CoreDNS names file and line; the column is added. */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error instanceof CorefileError && error.column > 0
    ? `${error.message} (column ${error.column})`
    : error.message;
}
