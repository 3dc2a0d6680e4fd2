// Serves the API on a MessagePort to a PortClient in another thread (client/port-client.ts). Watches are read only as fast as
// the other side acknowledges: at most WINDOW batches are under way, the rest waits in the store's shared history.
import type { MessagePort } from 'node:worker_threads';
import type { KubeObject, ResourceType } from '../api/meta.ts';
import { type ToClient, type ToServer, toWire } from '../client/port-protocol.ts';
import type { LocalClient } from './local-client.ts';
import type { RegistryWatch } from './registry/watch.ts';

const BATCH = 256;
const WINDOW = 4;

/** The result stops serving and closes the port; so does the port's own end. */
export function servePort(port: MessagePort, client: LocalClient): { close(): void } {
  const server = new PortServer(port, client);
  return { close: () => server.close() };
}

class PortServer {
  readonly #port: MessagePort;
  readonly #client: LocalClient;
  readonly #watches = new Map<number, PortWatch>();
  #closed = false;

  constructor(port: MessagePort, client: LocalClient) {
    this.#port = port;
    this.#client = client;
    port.on('message', (message: ToServer) => this.#receive(message));
    port.on('close', () => this.close());
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const watch of this.#watches.values()) watch.close();
    this.#watches.clear();
    this.#port.close();
  }

  #receive(message: ToServer): void {
    switch (message.kind) {
      case 'call':
        void this.#call(message);
        break;
      case 'watch': {
        const { id, type, options } = message;
        const watch = new PortWatch(id, (reply) => this.#post(reply));
        this.#watches.set(id, watch);
        const wake = () => watch.pump();
        this.#client.openWatch(type as ResourceType<KubeObject>, options, wake).then(
          (source) => watch.open(source),
          (error: unknown) => watch.end(error),
        );
        break;
      }
      case 'ack':
        this.#watches.get(message.id)?.acknowledge();
        break;
      case 'unwatch':
        this.#watches.get(message.id)?.close();
        this.#watches.delete(message.id);
        break;
    }
  }

  async #call({ id, method, type, args }: Extract<ToServer, { kind: 'call' }>): Promise<void> {
    try {
      const parsed = (JSON.parse(args) as unknown[]).map((a) => a ?? undefined);
      // The arguments come from PortClient, which has the same signatures.
      const fn = this.#client[method] as (...parameters: unknown[]) => Promise<unknown>;
      // What it is about is in the method's name already.
      const value = await fn.call(this.#client, ...(method === 'createToken' ? parsed : [type, ...parsed]));
      this.#post({ kind: 'result', id, value: JSON.stringify(value ?? null) });
    } catch (error) {
      this.#post({ kind: 'error', id, error: toWire(error) });
    }
  }

  #post(message: ToClient): void {
    if (!this.#closed) this.#port.postMessage(message);
  }
}

class PortWatch {
  readonly #id: number;
  readonly #post: (message: ToClient) => void;
  #source: RegistryWatch<KubeObject> | undefined;
  #underWay = 0;
  #closed = false;

  constructor(id: number, post: (message: ToClient) => void) {
    this.#id = id;
    this.#post = post;
  }

  open(source: RegistryWatch<KubeObject>): void {
    this.#source = source;
    if (this.#closed) source.close();
    else this.pump();
  }

  acknowledge(): void {
    this.#underWay--;
    this.pump();
  }

  pump(): void {
    while (!this.#closed && this.#source && this.#underWay < WINDOW) {
      try {
        const events = this.#source.read(BATCH);
        if (events.length === 0) return;
        this.#underWay++;
        this.#post({ kind: 'events', id: this.#id, events: JSON.stringify(events) });
      } catch (error) {
        this.end(error);
      }
    }
  }

  end(error: unknown): void {
    if (this.#closed) return;
    this.close();
    this.#post({ kind: 'end', id: this.#id, error: toWire(error) });
  }

  close(): void {
    this.#closed = true;
    this.#source?.close();
  }
}
