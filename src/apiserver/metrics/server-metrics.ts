// Everything /metrics tells, in Prometheus' text format: the requests, the objects in the store, the build, and the process, whose part
// of Go's runtime is that of Node here (named as prom-client names it).
import { readdirSync, readFileSync } from 'node:fs';
import { RESOURCES } from '../../api/resources.ts';
import type { Clock } from '../../lib/clock.ts';
import { Registry, type Series, type Vector } from '../../lib/metrics.ts';
import type { ApiServer } from '../apiserver.ts';
import { VERSION } from '../http/version.ts';
import { RequestMetrics } from './request-metrics.ts';

export class ServerMetrics {
  readonly requests: RequestMetrics;
  readonly #registry = new Registry();
  readonly #api: ApiServer;
  readonly #clock: Clock;
  readonly #watchEvents: Vector;

  constructor(api: ApiServer, clock: Clock) {
    this.#api = api;
    this.#clock = clock;
    this.requests = new RequestMetrics(this.#registry, clock);
    this.#watchEvents = this.#registry.counter(
      'apiserver_watch_events_total',
      'Number of events sent in watch clients',
      ['group', 'resource', 'version'],
    );
    const { buildDate, compiler, gitCommit, gitTreeState, gitVersion, goVersion, major, minor, platform } = VERSION;
    this.#registry
      .gauge(
        'kubernetes_build_info',
        'A metric with a constant 1 value labeled by major, minor, git version, git commit, git tree state, build date, Go version, and compiler from which Kubernetes was built, and platform on which it is running.',
        [
          'build_date',
          'compiler',
          'git_commit',
          'git_tree_state',
          'git_version',
          'go_version',
          'major',
          'minor',
          'platform',
        ],
      )
      .with(buildDate, compiler, gitCommit, gitTreeState, gitVersion, goVersion, major, minor, platform).value = 1;
    this.#gauge('nodejs_version_info', 'Node.js version info.', ['version'], process.version).value = 1;
  }

  watchEvents(group: string, resource: string, version: string): Series {
    return this.#watchEvents.with(group, resource, version);
  }

  async text(): Promise<string> {
    await this.#countObjects();
    this.#readProcess();
    return this.#registry.text();
  }

  async #countObjects(): Promise<void> {
    for (const type of RESOURCES) {
      const { items, metadata } = await (await this.#api.registry(type)).list({ limit: 1 });
      const count = items.length + (metadata.remainingItemCount ?? 0);
      const { group, resource } = type;
      const name = group === '' ? resource : `${resource}.${group}`;
      this.#gauge('apiserver_storage_objects', OBJECTS, ['resource'], name).value = count;
      this.#gauge('apiserver_resource_objects', OBJECTS, ['group', 'resource'], group, resource).value = count;
    }
  }

  #readProcess(): void {
    const { rss, heapTotal, heapUsed, external } = process.memoryUsage();
    const { user, system } = process.cpuUsage();
    this.#registry
      .counter('process_cpu_seconds_total', 'Total user and system CPU time spent in seconds.')
      .with().value = (user + system) / 1e6;
    this.#gauge('process_resident_memory_bytes', 'Resident memory size in bytes.').value = rss;
    this.#gauge('process_virtual_memory_bytes', 'Virtual memory size in bytes.').value =
      Number(/^VmSize:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? 0) * 1024;
    this.#gauge('process_open_fds', 'Number of open file descriptors.').value = readdirSync('/proc/self/fd').length;
    this.#gauge('process_max_fds', 'Maximum number of open file descriptors.').value = Number(
      /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? 0,
    );
    this.#gauge('process_start_time_seconds', 'Start time of the process since unix epoch in seconds.').value =
      this.#clock.unixMs() / 1000 - process.uptime();
    this.#gauge('nodejs_heap_size_total_bytes', 'Process heap size from Node.js in bytes.').value = heapTotal;
    this.#gauge('nodejs_heap_size_used_bytes', 'Process heap size used from Node.js in bytes.').value = heapUsed;
    this.#gauge('nodejs_external_memory_bytes', 'Node.js external memory size in bytes.').value = external;
  }

  #gauge(name: string, help: string, labels: readonly string[] = [], ...values: readonly string[]): Series {
    return this.#registry.gauge(name, help, labels).with(...values);
  }
}

const OBJECTS = 'Number of stored objects at the time of last check split by kind.';
