// Deletes finished Jobs when their ttlSecondsAfterFinished is over. After
// pkg/controller/ttlafterfinished/ttlafterfinished_controller.go (1.32).
import type { Job } from '../../api/batch-v1.ts';
import type { Stored } from '../../api/meta.ts';
import { JOBS } from '../../api/resources.ts';
import { type Informer, keyOf } from '../../client/informer.ts';
import type { Controller, ControllerContext } from '../context.ts';
import { ControlLoop, tolerate } from '../control-loop.ts';
import { finishedAt } from './conditions.ts';

export class TtlAfterFinishedController implements Controller {
  readonly #ctx: ControllerContext;
  readonly #jobs: Informer<Job>;
  readonly #loop: ControlLoop;

  constructor(ctx: ControllerContext) {
    this.#ctx = ctx;
    this.#jobs = ctx.informers.of(JOBS);
    this.#loop = new ControlLoop(ctx, 'ttl after finished', (key) => this.#sync(key));
    const look = (job: Stored<Job>) => {
      if (job.spec.ttlSecondsAfterFinished !== undefined) this.#loop.queue.add(keyOf(job));
    };
    this.#jobs.addHandler({ add: look, update: (_, job) => look(job) });
  }

  run(): void {
    this.#loop.run();
  }

  close(): void {
    this.#loop.close();
  }

  async #sync(key: string): Promise<void> {
    const job = this.#jobs.get(key);
    const ended = job && finishedAt(job);
    const ttl = job?.spec.ttlSecondsAfterFinished;
    if (!job || ended === undefined || ttl === undefined || job.metadata.deletionTimestamp !== undefined) return;
    const leftMs = ended + ttl * 1000 - this.#ctx.clock.unixMs();
    if (leftMs > 0) {
      this.#loop.queue.addAfter(key, leftMs * 1000);
      return;
    }
    const { namespace, name, uid } = job.metadata;
    const deletion = { propagationPolicy: 'Foreground' as const, preconditions: { uid } };
    await tolerate(this.#ctx.client.delete(JOBS, namespace, name, deletion), 'NotFound', 'Conflict');
  }
}
