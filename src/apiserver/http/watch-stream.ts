// A watch as an HTTP answer: one JSON object a line, for as long as the client listens, the server runs and the time given lasts.
// After k8s.io/apiserver/pkg/endpoints/handlers/watch.go and pkg/storage/cacher.
//
// Written only as fast as the client reads: about one chunk waits in the stream, the rest in the store's shared history, so that a
// thousand watches that do not read cost a thousand chunks. When history slides past what such a watch has not read, it is over: a
// client that reads on gets 410 in an ERROR event; one that does not is cut off (at the next reminder, see Registry.bookmark), as the
// real watch cache drops a watcher that does not take its events.
import type { ServerResponse } from 'node:http';
import type { KubeObject } from '../../api/meta.ts';
import { StatusError } from '../../api/status-error.ts';
import type { WatchEvent } from '../../client/client.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Series } from '../../lib/metrics.ts';
import type { RegistryWatchOptions } from '../registry/reading.ts';
import type { Registry } from '../registry/registry.ts';
import type { RegistryWatch } from '../registry/watch.ts';
import type { EncodedObjects } from './encoded-objects.ts';
import { PLAIN, type Representation } from './representation.ts';
import { asStatus } from './respond.ts';

const BATCH = 100;

/**
 * Resolves once the watch is open; it then runs by itself. Rejects with StatusError before anything is sent, except that a
 * revision which is gone is told in the stream.
 */
export async function serveWatch(
  response: ServerResponse,
  registry: Registry<KubeObject>,
  options: RegistryWatchOptions,
  form: Representation,
  { clock, encoded, sent }: { readonly clock: Clock; readonly encoded: EncodedObjects; readonly sent: Series },
  timeoutS: number,
): Promise<void> {
  const stream = new WatchStream(response, form, encoded, sent);
  let watch: RegistryWatch<KubeObject> | undefined;
  let gone: unknown;
  try {
    watch = await registry.watch(options, () => stream.pump());
  } catch (error) {
    if (!(error instanceof StatusError && error.reason === 'Expired')) throw error;
    gone = error;
  }
  response.statusCode = 200;
  response.setHeader('Content-Type', 'application/json');
  response.setHeader('Cache-Control', 'no-cache, private');
  response.flushHeaders();
  if (!watch) return stream.fail(gone);
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
  readonly #encoded: EncodedObjects;
  readonly #sent: Series;
  #watch: RegistryWatch<KubeObject> | undefined;
  /** Read from the watch, and written up to #next. */
  #events: WatchEvent<KubeObject>[] = [];
  #next = 0;
  #blocked = false;
  #first = true;

  constructor(response: ServerResponse, form: Representation, encoded: EncodedObjects, sent: Series) {
    this.#response = response;
    this.#form = form;
    this.#encoded = encoded;
    this.#sent = sent;
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
    if (this.#blocked && this.#watch?.lost) {
      this.close();
      this.#response.destroy();
      return;
    }
    while (this.#watch && !this.#blocked) {
      if (this.#next === this.#events.length) {
        this.#next = 0;
        try {
          this.#events = this.#watch.read(BATCH);
        } catch (error) {
          this.fail(error);
          return;
        }
        if (this.#events.length === 0) return;
      }
      // One by one, not copied together: the bytes of an event are the same for every watch.
      this.#sent.value++;
      this.#blocked = !this.#response.write(this.#line(this.#events[this.#next++]!));
    }
  }

  /** Ends with an ERROR event. */
  fail(error: unknown): void {
    this.close();
    this.#response.end(`${JSON.stringify({ type: 'ERROR', object: asStatus(error).toStatus() })}\n`);
  }

  /** Its time is over. A last bookmark lets the next watch begin where this one has got to, as the watch cache sees to. */
  end(): void {
    this.#watch?.remind();
    this.close();
    this.#response.end();
  }

  close(): void {
    this.#watch?.close();
    this.#watch = undefined;
    this.#events = [];
    this.#next = 0;
  }

  #line({ type, object }: WatchEvent<KubeObject>): string | Buffer {
    if (type === 'BOOKMARK') return `${JSON.stringify({ type, object: this.#form.bookmark(object) })}\n`;
    if (this.#form === PLAIN) return this.#encoded.eventLine(type, object);
    const first = this.#first;
    this.#first = false;
    return `${JSON.stringify({ type, object: this.#form.event(object, first) })}\n`;
  }
}
