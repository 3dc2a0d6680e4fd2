// A Node whose Pods run nowhere: it gives each Pod an address, reports it Running and Ready, and lets it go when it is deleted.
// Delays are virtual time, so that a test can look at every step between.
import type { Pod } from '../../src/api/core-v1.ts';
import type { Stored } from '../../src/api/meta.ts';
import { NODES, PODS } from '../../src/api/resources.ts';
import { isStatus } from '../../src/api/status-error.ts';
import { formatTime } from '../../src/api/time.ts';
import type { ApiClient } from '../../src/client/client.ts';
import { Informer } from '../../src/client/informer.ts';
import type { Clock } from '../../src/lib/clock.ts';

export interface FakeKubeletOptions {
  readonly client: ApiClient;
  readonly clock: Clock;
  readonly name: string;
  /** Its Pods get 10.(244 + N).x.y. */
  readonly index: number;
  readonly startUs?: number;
  readonly stopUs?: number;
  readonly labels?: Record<string, string>;
  readonly maxPods?: number;
  /** Whether a Pod becomes ready by itself; all do unless said otherwise. */
  readonly becomesReady?: (pod: Pod) => boolean;
}

export class FakeKubelet {
  readonly #o: FakeKubeletOptions;
  readonly #pods: Informer<Pod>;
  readonly #started = new Set<string>();
  readonly #stopping = new Set<string>();
  #lastAddress = 1;

  constructor(options: FakeKubeletOptions) {
    this.#o = options;
    const { client, clock, name } = options;
    this.#pods = new Informer({ client, clock, type: PODS, fieldSelector: `spec.nodeName=${name}` });
    this.#pods.addHandler({ add: (pod) => this.#seen(pod), update: (_, pod) => this.#seen(pod) });
  }

  async start(): Promise<void> {
    const { client, name, index, labels, maxPods = 110 } = this.#o;
    const node = await client.create(NODES, {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name, labels: { 'kubernetes.io/hostname': name, ...labels } },
      spec: { podCIDR: `10.${244 + index}.0.0/16` },
    });
    const status = {
      addresses: [{ type: 'InternalIP' as const, address: `192.168.49.${index + 2}` }],
      allocatable: { pods: String(maxPods), cpu: '4', memory: '8Gi' },
      conditions: [{ type: 'Ready', status: 'True' as const }],
    };
    await client.update(NODES, { ...node, status }, 'status');
    this.#pods.start();
  }

  close(): void {
    this.#pods.close();
  }

  async setReady(pod: Stored<Pod>, ready: boolean): Promise<void> {
    await this.#report(pod, { phase: 'Running' }, ready);
  }

  /** The Pod's process ended and is not started again. */
  async fail(pod: Stored<Pod>): Promise<void> {
    await this.#report(pod, { phase: 'Failed' }, false);
  }

  /** Its process ended well, and is not started again. */
  async succeed(pod: Stored<Pod>): Promise<void> {
    await this.#report(pod, { phase: 'Succeeded' }, false);
  }

  #seen(pod: Stored<Pod>): void {
    const { clock, startUs = 1000, stopUs = 1000, becomesReady = () => true } = this.#o;
    const { uid } = pod.metadata;
    if (pod.metadata.deletionTimestamp !== undefined) {
      if (this.#stopping.has(uid)) return;
      this.#stopping.add(uid);
      clock.after(stopUs, () => void this.#remove(pod));
    } else if (!this.#started.has(uid)) {
      this.#started.add(uid);
      clock.after(startUs, () => {
        if (this.#stopping.has(uid)) return;
        const address = ++this.#lastAddress;
        const ip = `10.${244 + this.#o.index}.${address >> 8}.${address & 255}`;
        void this.#report(pod, { phase: 'Running', podIP: ip, podIPs: [{ ip }] }, becomesReady(pod));
      });
    }
  }

  async #report(pod: Stored<Pod>, status: Partial<Pod['status']>, ready: boolean): Promise<void> {
    const lastTransitionTime = formatTime(this.#o.clock.unixMs());
    const patch = {
      status: { ...status, conditions: [{ type: 'Ready', status: ready ? 'True' : 'False', lastTransitionTime }] },
    };
    await this.#ignoreGone(
      this.#o.client.patch(PODS, pod.metadata.namespace, pod.metadata.name, 'strategic', patch, 'status'),
    );
  }

  async #remove(pod: Stored<Pod>): Promise<void> {
    const { namespace, name, uid } = pod.metadata;
    await this.#ignoreGone(
      this.#o.client.delete(PODS, namespace, name, { gracePeriodSeconds: 0, preconditions: { uid } }),
    );
  }

  async #ignoreGone(work: Promise<unknown>): Promise<void> {
    try {
      await work;
    } catch (error) {
      if (!isStatus(error, 'NotFound') && !isStatus(error, 'Conflict')) throw error;
    }
  }
}
