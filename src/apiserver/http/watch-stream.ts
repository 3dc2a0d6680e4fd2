// A watch as an HTTP answer: one JSON object a line, for as long as the client listens, the server runs and the time given
// lasts. Written only as fast as the client reads: what it has not read yet waits in the store's shared history, and when that
// is compacted away the client gets 410 and begins anew. After k8s.io/apiserver/pkg/endpoints/handlers/watch.go.
import type { ServerResponse } from 'node:http';
import type { KubeObject } from '../../api/meta.ts';
import type { WatchEvent } from '../../client/client.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Registry, RegistryWatchOptions } from '../registry/registry.ts';
import type { RegistryWatch } from '../registry/watch.ts';
import type { Representation } from './representation.ts';
import { asStatus } from './respond.ts';

const BATCH = 100;

/** Resolves once the watch is open (rejects with StatusError before anything is sent); it then runs by itself. */
export async function serveWatch(
  response: ServerResponse,
  registry: Registry<KubeObject>,
  options: RegistryWatchOptions,
  form: Representation,
  clock: Clock,
  timeoutS: number,
): Promise<void> {
  const stream = new WatchStream(response, form);
  const watch = await registry.watch(options, () => stream.pump());
  response.statusCode = 200;
  response.setHeader('Content-Type', 'application/json');
  response.setHeader('Cache-Control', 'no-cache, private');
  response.flushHeaders();
  const timer = clock.after(timeoutS * 1e6, () => stream.end());
  response.on('close', () => {
    timer.cancel();
    stream.close();
  });
  stream.open(watch);
}

class WatchStream {
  readonly #response: ServerResponse;
  readonly #form: Representation;
  #watch: RegistryWatch<KubeObject> | undefined;
  #blocked = false;
  #first = true;

  constructor(response: ServerResponse, form: Representation) {
    this.#response = response;
    this.#form = form;
    response.on('drain', () => {
      this.#blocked = false;
      this.pump();
    });
  }

  open(watch: RegistryWatch<KubeObject>): void {
    // The client may have gone while the watch was being opened.
    if (this.#response.destroyed) watch.close();
    else {
      this.#watch = watch;
      this.pump();
    }
  }

  pump(): void {
    while (this.#watch && !this.#blocked) {
      let events: WatchEvent<KubeObject>[];
      try {
        events = this.#watch.read(BATCH);
      } catch (error) {
        this.#write([{ type: 'ERROR', object: asStatus(error).toStatus() }]);
        this.end();
        return;
      }
      if (events.length === 0) return;
      this.#write(events.map((event) => this.#encode(event)));
    }
  }

  end(): void {
    this.close();
    this.#response.end();
  }

  close(): void {
    this.#watch?.close();
    this.#watch = undefined;
  }

  #encode({ type, object }: WatchEvent<KubeObject>): unknown {
    if (type === 'BOOKMARK') return { type, object: this.#form.bookmark(object) };
    const first = this.#first;
    this.#first = false;
    return { type, object: this.#form.event(object, first) };
  }

  #write(events: readonly unknown[]): void {
    const lines = events.map((event) => `${JSON.stringify(event)}\n`).join('');
    this.#blocked = !this.#response.write(lines);
  }
}
