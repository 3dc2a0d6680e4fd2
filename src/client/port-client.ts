// The API as seen from another thread: an ApiClient over a MessagePort whose other end is served by apiserver/serve-port.ts.
// Watch events come in batches, in order; each batch is acknowledged after its handlers have run, so that a slow reader
// holds the server back instead of filling memory. When the port closes, calls fail with 503 and watches end.
import type { MessagePort } from 'node:worker_threads';
import type { TokenRequest, TokenRequestSpec } from '../api/authentication-v1.ts';
import type { KubeObject, List, ResourceType, Stored } from '../api/meta.ts';
import { SERVICEACCOUNTS } from '../api/resources.ts';
import { StatusError } from '../api/status-error.ts';
import { freeze } from '../lib/tree.ts';
import type {
  ApiClient,
  DeleteOptions,
  ListOptions,
  PatchType,
  Subresource,
  Watch,
  WatchEvent,
  WatchOptions,
} from './client.ts';
import { fromWire, type Method, type ToClient, type ToServer } from './port-protocol.ts';

interface Call {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

interface Watcher {
  onEvent(event: WatchEvent<KubeObject>): void;
  onEnd(error?: Error): void;
}

export function connectPort(port: MessagePort): PortClient {
  return new PortClient(port);
}

export class PortClient implements ApiClient {
  readonly #port: MessagePort;
  readonly #calls = new Map<number, Call>();
  readonly #watchers = new Map<number, Watcher>();
  #nextId = 1;
  #closed = false;

  constructor(port: MessagePort) {
    this.#port = port;
    port.on('message', (message: ToClient) => this.#receive(message));
    port.on('close', () => this.#fail());
  }

  get<T extends KubeObject>(type: ResourceType<T>, namespace: string | undefined, name: string): Promise<Stored<T>> {
    return this.#call(type, 'get', [namespace, name]);
  }

  list<T extends KubeObject>(type: ResourceType<T>, options: ListOptions = {}): Promise<List<T>> {
    return this.#call(type, 'list', [options]);
  }

  create<T extends KubeObject>(type: ResourceType<T>, object: T): Promise<Stored<T>> {
    return this.#call(type, 'create', [object]);
  }

  update<T extends KubeObject>(type: ResourceType<T>, object: T, subresource?: Subresource): Promise<Stored<T>> {
    return this.#call(type, 'update', [object, subresource]);
  }

  patch<T extends KubeObject>(
    type: ResourceType<T>,
    namespace: string | undefined,
    name: string,
    patchType: PatchType,
    patch: unknown,
    subresource?: Subresource,
  ): Promise<Stored<T>> {
    return this.#call(type, 'patch', [namespace, name, patchType, patch, subresource]);
  }

  async delete<T extends KubeObject>(
    type: ResourceType<T>,
    namespace: string | undefined,
    name: string,
    options: DeleteOptions = {},
  ): Promise<void> {
    await this.#call(type, 'delete', [namespace, name, options]);
  }

  createToken(namespace: string, name: string, spec: TokenRequestSpec): Promise<TokenRequest> {
    return this.#call(SERVICEACCOUNTS, 'createToken', [namespace, name, spec]);
  }

  watch<T extends KubeObject>(
    type: ResourceType<T>,
    options: WatchOptions,
    onEvent: (event: WatchEvent<T>) => void,
    onEnd: (error?: Error) => void,
  ): Watch {
    const id = this.#nextId++;
    this.#watchers.set(id, { onEvent: onEvent as Watcher['onEvent'], onEnd });
    if (this.#closed) queueMicrotask(() => this.#end(id, unreachable()));
    else this.#post({ kind: 'watch', id, type: plain(type), options: { ...options } });
    return {
      close: () => {
        if (this.#watchers.delete(id) && !this.#closed) this.#post({ kind: 'unwatch', id });
      },
    };
  }

  /** Idempotent. Closes the port: open calls fail, watches end without notice. */
  close(): void {
    this.#watchers.clear();
    this.#port.close();
    this.#fail();
  }

  #call<R>(type: ResourceType, method: Method, args: readonly unknown[]): Promise<R> {
    if (this.#closed) return Promise.reject(unreachable());
    const id = this.#nextId++;
    return new Promise<R>((resolve, reject) => {
      this.#calls.set(id, { resolve: resolve as Call['resolve'], reject });
      this.#post({ kind: 'call', id, method, type: plain(type), args: JSON.stringify(args.map((a) => a ?? null)) });
    });
  }

  #receive(message: ToClient): void {
    switch (message.kind) {
      case 'result':
        this.#settle(message.id)?.resolve(freeze(JSON.parse(message.value)));
        break;
      case 'error':
        this.#settle(message.id)?.reject(fromWire(message.error));
        break;
      case 'events':
        this.#deliver(message.id, JSON.parse(message.events) as WatchEvent<KubeObject>[]);
        break;
      case 'end':
        this.#end(message.id, message.error && fromWire(message.error));
        break;
    }
  }

  #settle(id: number): Call | undefined {
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    return call;
  }

  #deliver(id: number, events: readonly WatchEvent<KubeObject>[]): void {
    try {
      for (const event of events) {
        const watcher = this.#watchers.get(id);
        if (!watcher) return;
        freeze(event.object);
        watcher.onEvent(event);
      }
    } finally {
      if (this.#watchers.has(id) && !this.#closed) this.#post({ kind: 'ack', id });
    }
  }

  #end(id: number, error?: Error): void {
    const watcher = this.#watchers.get(id);
    this.#watchers.delete(id);
    watcher?.onEnd(error);
  }

  #fail(): void {
    if (this.#closed) return;
    this.#closed = true;
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    for (const call of calls) call.reject(unreachable());
    for (const id of [...this.#watchers.keys()]) this.#end(id, unreachable());
  }

  #post(message: ToServer): void {
    this.#port.postMessage(message);
  }
}

/** Only what crosses a port; a type may come from elsewhere with more on it. */
function plain(type: ResourceType): ResourceType {
  const { group, version, resource, singular, kind, namespaced, shortNames, categories } = type;
  return {
    group,
    version,
    resource,
    singular,
    kind,
    namespaced,
    shortNames: [...shortNames],
    categories: [...categories],
  };
}

function unreachable(): StatusError {
  return new StatusError('ServiceUnavailable', 503, 'the connection to the API server is closed');
}
