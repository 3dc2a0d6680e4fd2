// Names for the addresses in a capture: Pods and Services as the Node knows them from the API. DNS-shaped, since Wireshark shows
// them as host names: `jump.dev.pod`, `ent.dev.svc`.
import type { Pod, Service } from '../api/core-v1.ts';
import { PODS, SERVICES } from '../api/resources.ts';
import type { CaptureNames } from '../capture/capture.ts';
import type { ApiClient } from '../client/client.ts';
import { Informer } from '../client/informer.ts';
import type { Clock } from '../lib/clock.ts';
import { parseIPv4 } from '../tcpip-ts/wire/address.ts';

export class NodeNames implements CaptureNames {
  generation = 0;
  readonly #pods: Informer<Pod>;
  readonly #services: Informer<Service>;
  readonly #fixed: readonly (readonly [number, string])[];
  readonly #podOfDevice: (device: string) => string | undefined;

  constructor(
    env: { client: ApiClient; clock: Clock; onError: (error: unknown) => void },
    fixed: readonly (readonly [number, string])[],
    podOfDevice: (device: string) => string | undefined,
  ) {
    this.#fixed = fixed;
    this.#podOfDevice = podOfDevice;
    this.#pods = new Informer({ ...env, type: PODS });
    this.#services = new Informer({ ...env, type: SERVICES });
    const changed = (): void => {
      this.generation++;
    };
    this.#pods.addHandler({
      add: changed,
      delete: changed,
      update: (old, pod) => old.status?.podIP !== pod.status?.podIP && changed(),
    });
    this.#services.addHandler({ add: changed, delete: changed, update: changed });
  }

  async start(): Promise<void> {
    this.#pods.start();
    this.#services.start();
    await Promise.all([this.#pods.synced, this.#services.synced]);
  }

  *addresses(): Iterable<readonly [addr: number, name: string]> {
    yield* this.#fixed;
    for (const pod of this.#pods.list()) {
      const addr = parseIPv4(pod.status?.podIP ?? '');
      if (addr !== undefined) yield [addr, `${pod.metadata.name}.${pod.metadata.namespace}.pod`];
    }
    for (const service of this.#services.list()) {
      const addr = parseIPv4(service.spec.clusterIP ?? '');
      if (addr !== undefined) yield [addr, `${service.metadata.name}.${service.metadata.namespace}.svc`];
    }
  }

  podOfDevice(device: string): string | undefined {
    return this.#podOfDevice(device);
  }

  close(): void {
    this.#pods.close();
    this.#services.close();
  }
}
