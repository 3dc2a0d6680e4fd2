// The Node's heartbeat: a Lease in kube-node-lease that the kubelet renews every ten seconds. After
// k8s.io/component-helpers/apimachinery/lease/controller.go and KEP-589.
import type { Lease } from '../../api/coordination-v1.ts';
import type { Node } from '../../api/core-v1.ts';
import type { Stored } from '../../api/meta.ts';
import { LEASES } from '../../api/resources.ts';
import { isStatus } from '../../api/status-error.ts';
import type { ApiClient } from '../../client/client.ts';
import type { Clock, Timer } from '../../lib/clock.ts';

const NAMESPACE = 'kube-node-lease';
const DURATION_S = 40;
const RENEW_US = (DURATION_S / 4) * 1e6;
/** After a failure: the Namespace may not be there yet when the first Node starts. */
const RETRY_US = 200_000;
const MAX_RETRY_US = 7_000_000;

export class NodeLease {
  readonly #client: ApiClient;
  readonly #clock: Clock;
  readonly #node: Stored<Node>;
  #timer: Timer | null = null;
  #failures = 0;
  #closed = false;

  /** `node`: as it is registered; the Lease goes when it goes. */
  constructor(client: ApiClient, clock: Clock, node: Stored<Node>) {
    this.#client = client;
    this.#clock = clock;
    this.#node = node;
  }

  start(): void {
    void this.#beat();
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  async #beat(): Promise<void> {
    let nextUs = RENEW_US;
    try {
      await this.#renew();
      this.#failures = 0;
    } catch {
      nextUs = Math.min(RETRY_US * 2 ** this.#failures++, MAX_RETRY_US);
    }
    if (!this.#closed) this.#timer = this.#clock.after(nextUs, () => void this.#beat());
  }

  async #renew(): Promise<void> {
    const { name, uid } = this.#node.metadata;
    const spec = {
      holderIdentity: name,
      leaseDurationSeconds: DURATION_S,
      renewTime: new Date(this.#clock.unixMs()).toISOString().replace('Z', '000Z'),
    };
    try {
      await this.#client.patch(LEASES, NAMESPACE, name, 'merge', { spec });
    } catch (error) {
      if (!isStatus(error, 'NotFound')) throw error;
      const owner = { apiVersion: 'v1', kind: 'Node', name, uid };
      const metadata = { name, namespace: NAMESPACE, ownerReferences: [owner] };
      const lease: Lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata, spec };
      await this.#client.create(LEASES, lease);
    }
  }
}
