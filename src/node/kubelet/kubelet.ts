// The Node's agent, after pkg/kubelet: watches the Pods bound to this Node and keeps one worker for each; answers exec and
// logs; registers the Node. All it knows of the cluster comes through the API client.
import type { Duplex, Readable, Writable } from 'node:stream';
import type { Node, Pod, Service } from '../../api/core-v1.ts';
import type { Stored } from '../../api/meta.ts';
import { isPodTerminal } from '../../api/pod.ts';
import { CONFIGMAPS, NODES, PODS, SERVICES } from '../../api/resources.ts';
import { isStatus, notFound } from '../../api/status-error.ts';
import { formatTime } from '../../api/time.ts';
import { Informer } from '../../client/informer.ts';
import type { Timer } from '../../lib/clock.ts';
import { parseIPv4 } from '../../tcpip-ts/wire/address.ts';
import type { ContainerLog } from '../container-log.ts';
import type { RunningProcess } from '../runtime/runtime.ts';
import { NodeLease } from './node-lease.ts';
import { nodeConditions } from './node-object.ts';
import { PodWorker, type PodWorkerEnv } from './pod-worker.ts';

/** nodeStatusReportFrequency: how often a status that does not change is written. */
const HEARTBEAT_US = 300e6;

export interface KubeletEnv extends Omit<PodWorkerEnv, 'gone' | 'services'> {
  /** The Node object to register: name, addresses, podCIDR, labels. */
  readonly node: Node;
  readonly onError: (error: unknown) => void;
  /** Keeps an address for the Pod that has it, before any Pod is given one. */
  readonly reservePodIP: (addr: number) => void;
}

export interface ExecIo {
  readonly stdin: Readable | null;
  readonly stdout: Writable;
  readonly stderr: Writable;
  readonly tty: boolean;
}

export class Kubelet {
  readonly #env: KubeletEnv;
  readonly #workers = new Map<string, PodWorker>();
  /** UIDs of Pods whose worker is done and whose object is still there. */
  readonly #ended = new Set<string>();
  readonly #pods: Informer<Pod>;
  readonly #configMaps;
  readonly #services: Informer<Service>;
  readonly #node: Informer<Node>;
  #heartbeat: Timer | null = null;
  #lease: NodeLease | null = null;
  #closed = false;

  constructor(env: KubeletEnv) {
    this.#env = env;
    const { client, clock, onError } = env;
    this.#pods = new Informer({
      client,
      clock,
      type: PODS,
      fieldSelector: `spec.nodeName=${env.node.metadata.name}`,
      onError,
    });
    this.#configMaps = new Informer({ client, clock, type: CONFIGMAPS, onError });
    this.#services = new Informer({ client, clock, type: SERVICES, onError });
    this.#node = new Informer({
      client,
      clock,
      type: NODES,
      fieldSelector: `metadata.name=${env.node.metadata.name}`,
      onError,
    });
    this.#node.addHandler({
      update: (old, node) => {
        const closed = node.spec?.unschedulable ?? false;
        if (closed === (old.spec?.unschedulable ?? false)) return;
        this.#tell(...nodeStatus(env.node, closed ? 'NodeNotSchedulable' : 'NodeSchedulable'));
      },
    });
  }

  get podCount(): number {
    return this.#workers.size;
  }

  /** Registers the Node, then takes on its Pods. */
  async start(): Promise<void> {
    await this.#register();
    const nodeName = this.#env.node.metadata.name;
    for (const pod of (await this.#env.client.list(PODS, { fieldSelector: `spec.nodeName=${nodeName}` })).items) {
      const addr = parseIPv4(pod.status?.podIP ?? '');
      if (addr !== undefined) this.#env.reservePodIP(addr);
    }
    this.#pods.addHandler({
      add: (pod) => this.#sync(pod),
      update: (old, pod) => {
        if (old.metadata.uid !== pod.metadata.uid) this.#forget(old);
        this.#sync(pod);
      },
      delete: (pod) => this.#forget(pod),
    });
    this.#configMaps.addHandler({
      update: (_old, map) => {
        for (const worker of this.#workers.values()) {
          if (worker.pod.metadata.namespace === map.metadata.namespace) {
            worker.refreshFiles(map.metadata.name).catch(this.#env.onError);
          }
        }
      },
    });
    this.#services.start();
    this.#node.start();
    this.#pods.start();
    this.#configMaps.start();
  }

  /** Ends every Pod of the Node (their objects stay); nothing is left running. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#heartbeat?.cancel();
    this.#lease?.close();
    this.#pods.close();
    this.#configMaps.close();
    this.#services.close();
    this.#node.close();
    await Promise.all([...this.#workers.values()].map((w) => w.terminate(0)));
  }

  /** Starts a command in a container of a Pod. Throws a StatusError as the API server words it. */
  async exec(
    namespace: string,
    name: string,
    container: string | undefined,
    argv: readonly string[],
    io: ExecIo,
  ): Promise<RunningProcess> {
    const worker = this.#workerOf(namespace, name);
    const runner = worker.container(container);
    if (!runner) throw new Error(`container ${container} is not valid for pod ${name}`);
    if (!worker.sandbox || !runner.running)
      throw new Error(`unable to upgrade connection: container not found ("${runner.name}")`);
    const { spec } = runner;
    const env = { ...runner.environment, ...(io.tty ? { TERM: 'xterm' } : {}) };
    return worker.sandbox.run({ argv, env, cwd: spec.workingDir ?? '/', io });
  }

  /** Joins a container's input and output; the result's `signal` leaves it again. */
  attach(
    namespace: string,
    name: string,
    container: string | undefined,
    io: Pick<ExecIo, 'stdin' | 'stdout' | 'stderr'>,
  ): RunningProcess {
    const runner = this.#workerOf(namespace, name).container(container);
    if (!runner?.running)
      throw new Error(`unable to upgrade connection: container ${container} not found in pod ${name}_${namespace}`);
    return runner.attach(io);
  }

  /** Connects to a port on the loopback address of a Pod. Rejects as the kubelet tells it to who forwards the port. */
  async connect(namespace: string, name: string, port: number): Promise<Duplex> {
    const { sandbox, pod } = this.#workerOf(namespace, name);
    const id = pod.metadata.uid.replaceAll('-', '');
    try {
      if (!sandbox) throw new Error(`sandbox container "${id}" is not running`);
      return await sandbox.connect(port);
    } catch (error) {
      throw new Error(`error forwarding port ${port} to pod ${id}, uid : ${(error as Error).message}`, {
        cause: error,
      });
    }
  }

  /** The log of a container's present or previous run. */
  logOf(namespace: string, name: string, container: string | undefined, previous: boolean): ContainerLog {
    const runner = this.#workerOf(namespace, name).container(container);
    if (!runner) throw new Error(`container ${container} is not valid for pod ${name}`);
    if (!previous) return runner.log;
    if (!runner.previousLog)
      throw new Error(`previous terminated container "${runner.name}" in pod "${name}" not found`);
    return runner.previousLog;
  }

  #workerOf(namespace: string, name: string): PodWorker {
    const worker = [...this.#workers.values()].find(
      (w) => w.pod.metadata.namespace === namespace && w.pod.metadata.name === name,
    );
    if (!worker) throw notFound(PODS, name);
    return worker;
  }

  #sync(pod: Stored<Pod>): void {
    if (this.#closed) return;
    const worker = this.#workers.get(pod.metadata.uid);
    if (worker) {
      worker.update(pod);
      return;
    }
    const over = isPodTerminal(pod);
    if (pod.metadata.deletionTimestamp && (over || this.#ended.has(pod.metadata.uid))) {
      // Nothing of it runs here; a finalizer may still keep the object.
      if (pod.metadata.deletionGracePeriodSeconds !== 0) void this.#remove(pod);
      return;
    }
    if (over) return;
    const services = async () => {
      await this.#services.synced;
      return this.#services.list();
    };
    const gone = ({ metadata }: Pod): void => {
      this.#workers.delete(metadata.uid!);
      const there = this.#pods.get(`${metadata.namespace}/${metadata.name}`);
      if (there?.metadata.uid === metadata.uid) this.#ended.add(metadata.uid!);
    };
    const started = new PodWorker({ ...this.#env, gone, services }, pod);
    this.#workers.set(pod.metadata.uid, started);
    if (pod.metadata.deletionTimestamp) started.update(pod);
  }

  #forget(pod: Stored<Pod>): void {
    this.#ended.delete(pod.metadata.uid);
    void this.#workers.get(pod.metadata.uid)?.terminate(0);
  }

  async #remove({ metadata: { namespace, name, uid } }: Stored<Pod>): Promise<void> {
    const deletion = { gracePeriodSeconds: 0, preconditions: { uid } };
    await this.#env.client.delete(PODS, namespace, name, deletion).catch((error: unknown) => {
      if (!isStatus(error, 'NotFound') && !isStatus(error, 'Conflict')) this.#env.onError(error);
    });
  }

  async #register(): Promise<void> {
    const { client, node } = this.#env;
    const name = node.metadata.name!;
    try {
      await client.create(NODES, node);
    } catch (error) {
      if (!isStatus(error, 'AlreadyExists')) throw error;
    }
    const { status } = await client.get(NODES, undefined, name);
    const conditions = nodeConditions(status?.conditions ?? [], formatTime(this.#env.clock.unixMs()));
    const patch = { status: { ...node.status, conditions } };
    const registered = await client.patch(NODES, undefined, name, 'merge', patch, 'status');
    this.#lease = new NodeLease(client, this.#env.clock, registered);
    this.#lease.start();
    this.#tellStart();
    this.#armHeartbeat();
  }

  #tellStart(): void {
    const { node } = this.#env;
    this.#tell('Starting', 'Starting kubelet.');
    for (const reason of ['NodeHasSufficientMemory', 'NodeHasNoDiskPressure', 'NodeHasSufficientPID']) {
      this.#tell(...nodeStatus(node, reason));
    }
    this.#tell('NodeAllocatableEnforced', 'Updated Node Allocatable limit across pods');
    this.#tell(...nodeStatus(node, 'NodeReady'));
  }

  /** An event of the Node; as kubectl describe node looks for them, they have its name as UID. */
  #tell(reason: string, message: string): void {
    const { node, event } = this.#env;
    const name = node.metadata.name!;
    event({ ...node, metadata: { name, uid: name } }, 'Normal', reason, message);
  }

  #armHeartbeat(): void {
    if (this.#closed) return;
    this.#heartbeat = this.#env.clock.after(HEARTBEAT_US, () => {
      this.#beat().catch(this.#env.onError);
      this.#armHeartbeat();
    });
  }

  /** Lists merge whole, so the conditions that others have set are sent along. */
  async #beat(): Promise<void> {
    const { client, clock, node } = this.#env;
    const name = node.metadata.name!;
    const { status } = await client.get(NODES, undefined, name);
    const ours = nodeConditions(status?.conditions ?? [], formatTime(clock.unixMs()));
    const types = new Set(ours.map((condition) => condition.type));
    const others = (status?.conditions ?? []).filter((condition) => !types.has(condition.type));
    const patch = { status: { conditions: [...others, ...ours] } };
    await client.patch(NODES, undefined, name, 'merge', patch, 'status');
  }
}

function nodeStatus({ metadata }: Node, reason: string): [reason: string, message: string] {
  return [reason, `Node ${metadata.name} status is now: ${reason}`];
}
