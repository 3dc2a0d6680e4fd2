// One Pod on this Node, from its binding to its end; after pkg/kubelet/pod_workers.go.
//
//   files and sandbox (retried with back-off) → init containers, one after the other → containers, side by side
//   deletionTimestamp, or the Node's own shutdown → SIGTERM, grace, SIGKILL → sandbox closed → deleted from the API
//
// Status goes to the API coalesced: changes of one turn of the event loop are one write, one write at a time.
import type { Pod } from '../../api/core-v1.ts';
import type { Stored } from '../../api/meta.ts';
import { PODS } from '../../api/resources.ts';
import { isStatus } from '../../api/status-error.ts';
import type { ApiClient } from '../../client/client.ts';
import type { Clock, Timer } from '../../lib/clock.ts';
import { formatIPv4, parseIPv4 } from '../../tcpip-ts/wire/address.ts';
import type { ImageCatalog } from '../images.ts';
import type { Runtime, Sandbox } from '../runtime/runtime.ts';
import { Backoff } from './backoff.ts';
import { ContainerRunner, timestamp } from './container.ts';
import { podStatus } from './pod-status.ts';
import { type ProbeActions, Prober } from './prober.ts';
import { type DnsSettings, formatResolvConf, podHosts, podResolvConf } from './resolv-conf.ts';
import { mountedConfigMaps, volumeFiles } from './volumes.ts';

export interface PodWorkerEnv {
  readonly client: ApiClient;
  readonly clock: Clock;
  readonly images: ImageCatalog;
  /** The runtime a Pod asks for; throws when this Node has no such handler. */
  readonly runtimeOf: (pod: Pod) => Runtime;
  readonly dns: DnsSettings;
  readonly hostIP: string;
  readonly apiServiceIP: string;
  readonly probes: (podIP: number, sandbox: Sandbox) => ProbeActions;
  readonly event: (pod: Pod, type: 'Normal' | 'Warning', reason: string, message: string) => void;
  /** The worker has nothing left to do. */
  readonly gone: (pod: Pod) => void;
}

export class PodWorker {
  readonly #env: PodWorkerEnv;
  readonly #startTime: string;
  /** What the API knew of the Pod when it came: of an earlier life, on a Node that was started again. */
  readonly #earlier: Pod['status'];
  #pod: Stored<Pod>;
  #sandbox: Sandbox | null = null;
  #inits: ContainerRunner[] = [];
  #containers: ContainerRunner[] = [];
  #initialized = false;
  readonly #probers = new Map<ContainerRunner, Prober>();
  #ending: Promise<void> | null = null;
  #retry: { timer: Timer; wake: () => void } | null = null;
  #writing = false;
  #dirty = false;

  constructor(env: PodWorkerEnv, pod: Stored<Pod>) {
    this.#env = env;
    this.#pod = pod;
    this.#earlier = pod.status;
    this.#startTime = timestamp(env.clock);
    if (pod.status?.containerStatuses) this.#report(); // not ready any more, before anybody relies on it
    void this.#live();
  }

  get sandbox(): Sandbox | null {
    return this.#sandbox;
  }

  get pod(): Stored<Pod> {
    return this.#pod;
  }

  container(name: string | undefined): ContainerRunner | undefined {
    return name === undefined
      ? this.#containers[0]
      : [...this.#containers, ...this.#inits].find((c) => c.name === name);
  }

  /** The API's newest state of the Pod. */
  update(pod: Stored<Pod>): void {
    this.#pod = pod;
    if (pod.metadata.deletionTimestamp) void this.terminate((pod.metadata.deletionGracePeriodSeconds ?? 30) * 1000);
  }

  /** A ConfigMap that the Pod may mount has changed. */
  async refreshFiles(configMap: string): Promise<void> {
    if (!this.#sandbox || !mountedConfigMaps(this.#pod).includes(configMap)) return;
    for (const [path, text] of await volumeFiles(this.#pod, this.#env.client)) this.#sandbox?.updateFile(path, text);
  }

  /** Ends the Pod; its object goes from the API when it was being deleted. Resolves when nothing of it is left here. */
  terminate(graceMs: number): Promise<void> {
    this.#ending ??= this.#end(graceMs);
    return this.#ending;
  }

  async #live(): Promise<void> {
    await this.#makeSandbox();
    if (this.#ending || !this.#sandbox) return;
    this.#inits = (this.#pod.spec.initContainers ?? []).map((spec) => this.#runner(spec, true));
    this.#containers = this.#pod.spec.containers.map((spec) => this.#runner(spec, false));
    for (const c of this.#containers) if (this.#inits.length > 0) c.state = { waiting: { reason: 'PodInitializing' } };
    this.#report();
    for (const init of this.#inits) {
      await init.run();
      if (this.#ending) return;
      init.ready = true;
      if (init.finished?.code !== 0) return this.#report(); // restartPolicy Never: the Pod has failed
    }
    this.#initialized = true;
    await Promise.all(this.#containers.map((c) => c.run()));
    this.#report();
  }

  async #makeSandbox(): Promise<void> {
    const backoff = new Backoff();
    while (!this.#ending) {
      try {
        const pod = this.#pod;
        const runtime = this.#env.runtimeOf(pod);
        const files = await volumeFiles(pod, this.#env.client);
        const hostname = podHostname(pod);
        files.set('/etc/hostname', `${hostname}\n`);
        files.set('/etc/resolv.conf', formatResolvConf(podResolvConf(pod, this.#env.dns)));
        files.set('/etc/hosts', '');
        const { namespace = '', name, uid } = pod.metadata;
        const podIP = parseIPv4(this.#earlier?.podIP ?? '');
        const sandbox = await runtime.create({
          namespace,
          name,
          uid,
          hostname,
          files,
          ...(podIP === undefined ? {} : { podIP }),
        });
        sandbox.updateFile(
          '/etc/hosts',
          podHosts(pod, formatIPv4(sandbox.podIP), hostname, this.#env.dns.clusterDomain),
        );
        this.#sandbox = sandbox;
        return;
      } catch (error) {
        const why = (error as Error).message;
        const reason = isStatus(error, 'NotFound') ? 'FailedMount' : 'FailedCreatePodSandBox';
        this.#env.event(this.#pod, 'Warning', reason, `Failed to create pod sandbox: ${why}`);
        await new Promise<void>((wake) => {
          this.#retry = { wake, timer: this.#env.clock.after(Math.max(1000, backoff.failed(0)) * 1000, wake) };
        });
      }
    }
  }

  #runner(spec: Pod['spec']['containers'][number], init: boolean): ContainerRunner {
    const { client: _client, clock, images, hostIP, apiServiceIP } = this.#env;
    const policy = this.#pod.spec.restartPolicy ?? 'Always';
    const runner: ContainerRunner = new ContainerRunner({
      pod: this.#pod,
      spec,
      sandbox: this.#sandbox!,
      images,
      clock,
      facts: { hostname: podHostname(this.#pod), podIP: formatIPv4(this.#sandbox!.podIP), hostIP, apiServiceIP },
      before: (init ? this.#earlier?.initContainerStatuses : this.#earlier?.containerStatuses)?.find(
        (c) => c.name === spec.name,
      ),
      restart: init && policy === 'Always' ? 'OnFailure' : policy,
      event: (type, reason, message) => this.#env.event(this.#pod, type, reason, message),
      changed: () => this.#changed(runner, init),
    });
    return runner;
  }

  #changed(runner: ContainerRunner, init: boolean): void {
    const running = runner.state.running !== undefined;
    if (!running) {
      this.#probers.get(runner)?.close();
      this.#probers.delete(runner);
    } else if (!init && !this.#probers.has(runner)) {
      this.#probe(runner);
    }
    this.#report();
  }

  #probe(runner: ContainerRunner): void {
    const sandbox = this.#sandbox!;
    const prober = new Prober({
      container: runner.spec,
      clock: this.#env.clock,
      actions: this.#env.probes(sandbox.podIP, sandbox),
      onStarted: () => {
        runner.started = true;
        this.#report();
      },
      onReady: (ready) => {
        if (runner.ready === ready) return;
        runner.ready = ready;
        this.#report();
      },
      onUnhealthy: () => void runner.kill((this.#pod.spec.terminationGracePeriodSeconds ?? 30) * 1000),
      event: (type, reason, message) => this.#env.event(this.#pod, type, reason, message),
    });
    this.#probers.set(runner, prober);
  }

  async #end(graceMs: number): Promise<void> {
    for (const prober of this.#probers.values()) prober.close();
    this.#retry?.timer.cancel();
    this.#retry?.wake();
    for (const c of this.#containers) c.ready = false;
    this.#report(); // out of the endpoints before the processes go
    await Promise.all([...this.#containers, ...this.#inits].map((c) => c.stop(graceMs)));
    await this.#sandbox?.close();
    const { namespace, name, uid, deletionTimestamp } = this.#pod.metadata;
    if (deletionTimestamp) {
      await this.#env.client
        .delete(PODS, namespace, name, { gracePeriodSeconds: 0, preconditions: { uid } })
        .catch((error: unknown) => {
          if (!isStatus(error, 'NotFound') && !isStatus(error, 'Conflict')) throw error;
        });
    }
    this.#env.gone(this.#pod);
  }

  #report(): void {
    this.#dirty = true;
    if (!this.#writing) void this.#write();
  }

  async #write(): Promise<void> {
    this.#writing = true;
    await Promise.resolve(); // changes made in the same turn go together
    while (this.#dirty) {
      this.#dirty = false;
      const { namespace, name } = this.#pod.metadata;
      const status = podStatus({
        pod: this.#pod,
        hostIP: this.#env.hostIP,
        podIP: this.#sandbox ? formatIPv4(this.#sandbox.podIP) : undefined,
        startTime: this.#startTime,
        initStatuses: this.#inits.map((c) => c.status()),
        statuses: this.#containers.map((c) => c.status()),
        initialized: this.#initialized,
        now: timestamp(this.#env.clock),
      });
      try {
        this.#pod = await this.#env.client.patch(PODS, namespace, name, 'merge', { status }, 'status');
      } catch (error) {
        if (isStatus(error, 'NotFound')) break; // deleted without grace: update() or the informer ends us
        this.#env.event(this.#pod, 'Warning', 'FailedStatusUpdate', (error as Error).message);
      }
    }
    this.#writing = false;
  }
}

export function podHostname(pod: Pod): string {
  return (pod.spec.hostname ?? pod.metadata.name ?? '').slice(0, 63);
}
