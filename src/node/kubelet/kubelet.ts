// The Node's agent, after pkg/kubelet: watches the Pods bound to this Node and keeps one worker for each; answers exec and
// logs; registers the Node. All it knows of the cluster comes through the API client.
import type { Duplex, Readable, Writable } from 'node:stream';
import type { Node, Pod } from '../../api/core-v1.ts';
import type { Stored } from '../../api/meta.ts';
import { CONFIGMAPS, NODES, PODS } from '../../api/resources.ts';
import { isStatus, notFound } from '../../api/status-error.ts';
import { Informer } from '../../client/informer.ts';
import { formatIPv4, parseIPv4 } from '../../tcpip-ts/wire/address.ts';
import type { ContainerLog } from '../container-log.ts';
import type { RunningProcess } from '../runtime/runtime.ts';
import { containerEnvironment } from './environment.ts';
import { PodWorker, type PodWorkerEnv, podHostname } from './pod-worker.ts';

export interface KubeletEnv extends Omit<PodWorkerEnv, 'gone'> {
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
    this.#pods.start();
    this.#configMaps.start();
  }

  /** Ends every Pod of the Node (their objects stay); nothing is left running. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#pods.close();
    this.#configMaps.close();
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
    const { images, hostIP, apiServiceIP } = this.#env;
    const facts = { hostname: podHostname(worker.pod), podIP: formatIPv4(worker.sandbox.podIP), hostIP, apiServiceIP };
    const spec = io.tty ? { ...runner.spec, tty: true } : runner.spec;
    const env = containerEnvironment(worker.pod, spec, images.find(spec.image ?? '')?.env ?? {}, facts);
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
      throw new Error(`unable to upgrade connection: container ${container} not found in pod ${name}`);
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
    const over = pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
    if (pod.metadata.deletionTimestamp && (over || this.#ended.has(pod.metadata.uid))) {
      // Nothing of it runs here; a finalizer may still keep the object.
      if (pod.metadata.deletionGracePeriodSeconds !== 0) void this.#remove(pod);
      return;
    }
    if (over) return;
    const gone = ({ metadata }: Pod): void => {
      this.#workers.delete(metadata.uid!);
      const there = this.#pods.get(`${metadata.namespace}/${metadata.name}`);
      if (there?.metadata.uid === metadata.uid) this.#ended.add(metadata.uid!);
    };
    const started = new PodWorker({ ...this.#env, gone }, pod);
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
    await client.patch(NODES, undefined, name, 'merge', { status: node.status }, 'status');
  }
}
