// One Pod on this Node, from its binding to its end; after pkg/kubelet/pod_workers.go.
//
//   files and sandbox (retried with back-off) → init containers, one after the other → containers, side by side
//   an init container with restartPolicy Always is a sidecar: it stays, and ends after the containers
//   all containers have ended for good, or the Pod's own deadline has come → the sandbox goes, logs and status stay
//   deletionTimestamp, or the Node's own shutdown → SIGTERM, grace, SIGKILL → sandbox closed → deleted from the API
//
// Status goes to the API coalesced: changes of one turn of the event loop are one write, one write at a time.
import type { Container, LifecycleHandler, Pod, Service } from '../../api/core-v1.ts';
import type { KubeObject, Stored } from '../../api/meta.ts';
import { isSidecar } from '../../api/pod.ts';
import { PODS } from '../../api/resources.ts';
import { isStatus } from '../../api/status-error.ts';
import { formatTime } from '../../api/time.ts';
import type { ApiClient } from '../../client/client.ts';
import type { Clock, Timer } from '../../lib/clock.ts';
import { equal } from '../../lib/tree.ts';
import { formatIPv4, parseIPv4 } from '../../tcpip-ts/wire/address.ts';
import type { ImageCatalog } from '../images.ts';
import type { Runtime, Sandbox } from '../runtime/runtime.ts';
import { Backoff } from './backoff.ts';
import { ContainerRunner } from './container.ts';
import { containerEnvironment } from './environment.ts';
import { environmentSources } from './environment-sources.ts';
import { podStatus } from './pod-status.ts';
import { type ProbeActions, Prober, portNumber } from './prober.ts';
import { type DnsSettings, formatResolvConf, podHosts, podResolvConf } from './resolv-conf.ts';
import { serviceLinks } from './service-links.ts';
import { mountedConfigMaps, VolumeError, volumeFiles } from './volumes.ts';

const HOST_NETWORK =
  'hostNetwork: a Pod cannot join the network of an emulated Node, which is no network namespace; leave it out, and use a hostPort or a NodePort Service; what the Node itself serves is at `kubectl get --raw /api/v1/nodes/NAME:PORT/proxy/`';
const HOOK_TIMEOUT_MS = 30_000;
const FIELDS = { main: 'containers', init: 'initContainers', ephemeral: 'ephemeralContainers' } as const;
const DEADLINE_MESSAGE = 'Pod was active on the node longer than the specified deadline';

export interface PodWorkerEnv {
  readonly client: ApiClient;
  readonly clock: Clock;
  readonly images: ImageCatalog;
  /** The runtime a Pod asks for; throws when this Node has no such handler. */
  readonly runtimeOf: (pod: Pod) => Runtime;
  readonly dns: DnsSettings;
  readonly hostIP: string;
  /** Of the Node. */
  readonly allocatable: Readonly<Record<string, string>>;
  /** The Services there are, once they are known. */
  readonly services: () => Promise<readonly Service[]>;
  readonly probes: (podIP: number, sandbox: Sandbox) => ProbeActions;
  /** `fieldPath`: the container that it is about. */
  readonly event: (
    object: KubeObject,
    type: 'Normal' | 'Warning',
    reason: string,
    message: string,
    fieldPath?: string,
  ) => void;
  /** The worker has nothing left to do. */
  readonly gone: (pod: Pod) => void;
}

const TOKEN_RETRY_MS = 10_000;

export class PodWorker {
  readonly #env: PodWorkerEnv;
  readonly #startTime: string;
  /** What the API knew of the Pod when it came: of an earlier life, on a Node that was started again. */
  readonly #earlier: Pod['status'];
  #pod: Stored<Pod>;
  #sandbox: Sandbox | null = null;
  #inits: ContainerRunner[] = [];
  #containers: ContainerRunner[] = [];
  /** Added while the Pod runs, for debugging. */
  readonly #ephemerals: ContainerRunner[] = [];
  #initialized = false;
  #podIP: string | undefined;
  #deadline: Timer | null = null;
  /** Why the Pod has failed as a whole. */
  #failure: { reason: string; message: string } | undefined;
  readonly #probers = new Map<ContainerRunner, Prober>();
  /** Called at every report, once: whoever waits for a container looks again. */
  #waiting: (() => void)[] = [];
  #ending: Promise<void> | null = null;
  #making: Promise<void> | null = null;
  #retry: { timer: Timer; wake: () => void } | null = null;
  #tokenRefresh: Timer | null = null;
  #writing = false;
  #dirty = false;

  constructor(env: PodWorkerEnv, pod: Stored<Pod>) {
    this.#env = env;
    this.#pod = pod;
    this.#earlier = pod.status;
    this.#startTime = formatTime(env.clock.unixMs());
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
      : [...this.#containers, ...this.#inits, ...this.#ephemerals].find((c) => c.name === name);
  }

  /** The API's newest state of the Pod. */
  update(pod: Stored<Pod>): void {
    const gated = (pod.spec.readinessGates ?? []).length > 0;
    const changed = gated && !equal(pod.status?.conditions, this.#pod.status?.conditions);
    this.#pod = pod;
    if (changed) this.#report();
    this.#armDeadline(); // it may have been set since
    this.#runEphemerals();
    if (pod.metadata.deletionTimestamp) void this.terminate((pod.metadata.deletionGracePeriodSeconds ?? 30) * 1000);
  }

  /** A ConfigMap that the Pod may mount has changed. */
  async refreshFiles(configMap: string): Promise<void> {
    if (!this.#sandbox || !mountedConfigMaps(this.#pod).includes(configMap)) return;
    await this.#updateFiles().catch((error: unknown) => this.#mountFailed(error));
  }

  /** Ends the Pod; its object goes from the API when it was being deleted. Resolves when nothing of it is left here. */
  terminate(graceMs: number): Promise<void> {
    this.#ending ??= this.#end(graceMs);
    return this.#ending;
  }

  async #live(): Promise<void> {
    this.#armDeadline();
    this.#making = this.#makeSandbox();
    await this.#making;
    if (this.#ending || !this.#sandbox) return;
    this.#inits = (this.#pod.spec.initContainers ?? []).map((spec) => this.#runner(spec, 'init'));
    this.#containers = this.#pod.spec.containers.map((spec) => this.#runner(spec, 'main'));
    for (const c of this.#containers) if (this.#inits.length > 0) c.state = { waiting: { reason: 'PodInitializing' } };
    this.#report();
    this.#runEphemerals();
    for (const init of this.#inits) {
      if (isSidecar(init.spec)) {
        void init.run();
        await this.#hasStarted(init);
        if (this.#ending) return;
        continue;
      }
      await init.run();
      if (this.#ending) return;
      init.ready = true;
      if (init.finished?.code !== 0) return this.#settle(); // restartPolicy Never: the Pod has failed
    }
    this.#initialized = true;
    await Promise.all(this.#containers.map((c) => c.run()));
    if (!this.#ending) await this.#settle();
  }

  /** Nothing of the Pod will run any more, but its object stays: its network is given back. */
  async #settle(): Promise<void> {
    this.#deadline?.cancel();
    const graceMs = (this.#pod.spec.terminationGracePeriodSeconds ?? 30) * 1000;
    const helpers = this.#inits.filter((init) => isSidecar(init.spec));
    await Promise.all([...helpers, ...this.#ephemerals].map((c) => c.stop(graceMs)));
    const sandbox = this.#sandbox;
    this.#sandbox = null;
    this.#report();
    await sandbox?.close();
  }

  #runEphemerals(): void {
    if (!this.#sandbox || this.#ending || this.#failure) return;
    for (const spec of this.#pod.spec.ephemeralContainers ?? []) {
      if (this.#ephemerals.some((c) => c.name === spec.name)) continue;
      const runner = this.#runner(spec, 'ephemeral');
      this.#ephemerals.push(runner);
      void runner.run();
    }
  }

  async #hasStarted(runner: ContainerRunner): Promise<void> {
    while (!runner.started && !this.#ending) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  #armDeadline(): void {
    const { activeDeadlineSeconds } = this.#pod.spec;
    if (activeDeadlineSeconds === undefined || this.#deadline) return;
    const started = Date.parse(this.#startTime);
    const leftMs = Math.max(0, started + activeDeadlineSeconds * 1000 - this.#env.clock.unixMs());
    this.#deadline = this.#env.clock.after(leftMs * 1000, () => void this.#expire());
  }

  async #expire(): Promise<void> {
    if (this.#ending || this.#failure) return;
    this.#failure = { reason: 'DeadlineExceeded', message: DEADLINE_MESSAGE };
    this.#env.event(this.#pod, 'Normal', 'DeadlineExceeded', DEADLINE_MESSAGE);
    const graceMs = (this.#pod.spec.terminationGracePeriodSeconds ?? 30) * 1000;
    await Promise.all([...this.#containers, ...this.#inits].map((c) => c.stop(graceMs)));
    if (!this.#ending) await this.#settle();
  }

  async #makeSandbox(): Promise<void> {
    const backoff = new Backoff();
    while (!this.#ending) {
      try {
        const pod = this.#pod;
        if (pod.spec.hostNetwork) throw new Error(HOST_NETWORK);
        const runtime = this.#env.runtimeOf(pod);
        const { files, tokensEndMs } = await volumeFiles(pod, this.#env.client);
        if (this.#ending) return;
        const hostname = podHostname(pod);
        files.set('/etc/hostname', `${hostname}\n`);
        const resolvConf = podResolvConf(pod, this.#env.dns);
        for (const what of resolvConf.omitted) this.#env.event(pod, 'Warning', 'DNSConfigForming', what);
        files.set('/etc/resolv.conf', formatResolvConf(resolvConf));
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
        this.#podIP = formatIPv4(sandbox.podIP);
        this.#refreshTokens(tokensEndMs);
        return;
      } catch (error) {
        const why = (error as Error).message;
        if (error instanceof VolumeError) this.#mountFailed(error);
        else this.#env.event(this.#pod, 'Warning', 'FailedCreatePodSandBox', `Failed to create pod sandbox: ${why}`);
        if (this.#ending) return;
        await new Promise<void>((wake) => {
          this.#retry = { wake, timer: this.#env.clock.after(Math.max(1000, backoff.failed(0)) * 1000, wake) };
        });
      }
    }
  }

  #mountFailed(error: unknown): void {
    if (!(error instanceof VolumeError)) throw error;
    if (!this.#ending && !error.podIsGone) this.#env.event(this.#pod, 'Warning', 'FailedMount', error.message);
  }

  async #updateFiles(): Promise<void> {
    const { files, tokensEndMs } = await volumeFiles(this.#pod, this.#env.client);
    for (const [path, text] of files) this.#sandbox?.updateFile(path, text);
    this.#refreshTokens(tokensEndMs);
  }

  /** New tokens once four fifths of their time have passed: pkg/kubelet/token/token_manager.go. */
  #refreshTokens(endMs: number | undefined): void {
    this.#tokenRefresh?.cancel();
    if (endMs === undefined || this.#ending) return;
    const { clock } = this.#env;
    const afterMs = Math.max(TOKEN_RETRY_MS, (endMs - clock.unixMs()) * 0.8);
    this.#tokenRefresh = clock.after(afterMs * 1000, () => {
      this.#updateFiles().catch(() => this.#refreshTokens(endMs)); // the old ones hold a little longer
    });
  }

  #runner(spec: Container, role: 'main' | 'init' | 'ephemeral'): ContainerRunner {
    const { clock, images } = this.#env;
    const policy = this.#pod.spec.restartPolicy ?? 'Always';
    const init = role === 'init';
    const own = isSidecar(spec) ? 'Always' : init && policy === 'Always' ? 'OnFailure' : policy;
    const fieldPath = `spec.${FIELDS[role]}{${spec.name}}`;
    const runner: ContainerRunner = new ContainerRunner({
      pod: this.#pod,
      spec,
      sandbox: this.#sandbox!,
      images,
      clock,
      environment: (imageEnv) => this.#environment(spec, imageEnv),
      hook: (handler) => this.#hook(spec, handler),
      graceMs: (this.#pod.spec.terminationGracePeriodSeconds ?? 30) * 1000,
      before: (init ? this.#earlier?.initContainerStatuses : this.#earlier?.containerStatuses)?.find(
        (c) => c.name === spec.name,
      ),
      restart: role === 'ephemeral' ? 'Never' : own,
      rerun: init && policy !== 'Never',
      event: (type, reason, message) => this.#env.event(this.#pod, type, reason, message, fieldPath),
      changed: () => this.#changed(runner, role === 'main' || isSidecar(spec)),
    });
    return runner;
  }

  async #environment(spec: Container, imageEnv: Readonly<Record<string, string>>): Promise<Record<string, string>> {
    const { client, services, hostIP, allocatable } = this.#env;
    const { metadata, spec: pod } = this.#pod;
    const namespace = metadata.namespace!;
    const links = serviceLinks(await services(), namespace, pod.enableServiceLinks ?? true);
    const facts = { hostname: podHostname(this.#pod), podIP: this.#podIP ?? '', hostIP, allocatable };
    const sources = await environmentSources(namespace, spec, client);
    return containerEnvironment(this.#pod, spec, imageEnv, links, facts, sources);
  }

  async #hook(spec: Container, { exec, httpGet, sleep }: LifecycleHandler): Promise<void> {
    const sandbox = this.#sandbox;
    if (!sandbox) return;
    if (sleep) {
      await new Promise<void>((resolve) => this.#env.clock.after(sleep.seconds * 1e6, resolve));
      return;
    }
    const actions = this.#env.probes(sandbox.podIP, sandbox);
    if (httpGet) await actions.http(portNumber(spec, httpGet.port), httpGet.path ?? '/', HOOK_TIMEOUT_MS);
    else await actions.exec(exec?.command ?? [], HOOK_TIMEOUT_MS);
  }

  #changed(runner: ContainerRunner, probed: boolean): void {
    const running = runner.state.running !== undefined;
    if (!running) {
      this.#probers.get(runner)?.close();
      this.#probers.delete(runner);
    } else if (probed && !this.#probers.has(runner)) {
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
      onUnhealthy: (probe, kind) => {
        const seconds = probe.terminationGracePeriodSeconds ?? this.#pod.spec.terminationGracePeriodSeconds ?? 30;
        const why = `Container ${runner.name} failed ${kind} probe, will be restarted`;
        void runner.kill(seconds * 1000, why);
      },
      event: (type, reason, message) =>
        this.#env.event(this.#pod, type, reason, message, `spec.containers{${runner.name}}`),
    });
    this.#probers.set(runner, prober);
  }

  async #end(graceMs: number): Promise<void> {
    for (const prober of this.#probers.values()) prober.close();
    this.#deadline?.cancel();
    this.#tokenRefresh?.cancel();
    this.#retry?.timer.cancel();
    this.#retry?.wake();
    for (const c of this.#containers) c.ready = false;
    this.#report(); // out of the endpoints before the processes go
    const sidecars = this.#inits.filter((init) => isSidecar(init.spec));
    const others = this.#inits.filter((init) => !sidecars.includes(init));
    await Promise.all([...this.#containers, ...others, ...this.#ephemerals].map((c) => c.stop(graceMs)));
    await Promise.all(sidecars.map((c) => c.stop(graceMs)));
    await this.#making; // what is being made is closed, too
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
    for (const wake of this.#waiting.splice(0)) wake();
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
        podIP: this.#podIP,
        hasSandbox: this.#sandbox !== null,
        failure: this.#failure,
        startTime: this.#startTime,
        initStatuses: this.#inits.map((c) => c.status()),
        statuses: this.#containers.map((c) => c.status()),
        ephemeralStatuses: this.#ephemerals.map((c) => c.status()),
        initialized: this.#initialized,
        now: formatTime(this.#env.clock.unixMs()),
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
