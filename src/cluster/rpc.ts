// Calls over a MessagePort, with streams of bytes: how the main thread reaches a Node's thread. A caller makes a call and may
// send further messages to it and get messages from it until it returns; the far side sees one handler per call.
import type { MessagePort } from 'node:worker_threads';

/** One call, seen from either side. */
export interface Call {
  /** Sends a message to the other side of this call. */
  send(message: unknown): void;
  /** Names who gets the messages of the other side; those that came before are given at once. */
  onMessage(listener: (message: unknown) => void): void;
}

export interface OutgoingCall extends Call {
  /** What the far side's handler returned; rejects with its error (message, name, and the fields that are data). */
  readonly result: Promise<unknown>;
}

export type Handler = (params: unknown, call: Call) => Promise<unknown>;

type Frame =
  | { readonly kind: 'call'; readonly id: number; readonly method: string; readonly params: unknown }
  | { readonly kind: 'message'; readonly id: number; readonly from: 'caller' | 'callee'; readonly message: unknown }
  | { readonly kind: 'return'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'throw'; readonly id: number; readonly error: unknown };

class Side implements Call {
  readonly #post: (message: unknown) => void;
  #listener: ((message: unknown) => void) | null = null;
  #early: unknown[] = [];

  constructor(post: (message: unknown) => void) {
    this.#post = post;
  }

  send(message: unknown): void {
    this.#post(message);
  }

  onMessage(listener: (message: unknown) => void): void {
    this.#listener = listener;
    for (const message of this.#early.splice(0)) listener(message);
  }

  deliver(message: unknown): void {
    if (this.#listener) this.#listener(message);
    else this.#early.push(message);
  }
}

export class Rpc {
  readonly #port: MessagePort;
  readonly #handlers: Readonly<Record<string, Handler>>;
  readonly #outgoing = new Map<number, { side: Side; resolve: (v: unknown) => void; reject: (e: unknown) => void }>();
  readonly #incoming = new Map<number, Side>();
  #nextId = 1;
  #closedBy: Error | null = null;

  constructor(port: MessagePort, handlers: Readonly<Record<string, Handler>>) {
    this.#port = port;
    this.#handlers = handlers;
    port.on('message', (frame: Frame) => this.#receive(frame));
  }

  call(method: string, params: unknown): OutgoingCall {
    const id = this.#nextId++;
    const side = new Side((message) => this.#send({ kind: 'message', id, from: 'caller', message }));
    const result = new Promise<unknown>((resolve, reject) => {
      if (this.#closedBy) return reject(this.#closedBy);
      this.#outgoing.set(id, { side, resolve, reject });
      this.#send({ kind: 'call', id, method, params });
    });
    return { send: (m) => side.send(m), onMessage: (l) => side.onMessage(l), result };
  }

  /** The far side is gone: every open call rejects with `error`, and so do later ones. */
  fail(error: Error): void {
    this.#closedBy = error;
    for (const { reject } of this.#outgoing.values()) reject(error);
    this.#outgoing.clear();
  }

  #receive(frame: Frame): void {
    if (frame.kind === 'call') return void this.#serve(frame.id, frame.method, frame.params);
    if (frame.kind === 'message') {
      const side = frame.from === 'caller' ? this.#incoming.get(frame.id) : this.#outgoing.get(frame.id)?.side;
      side?.deliver(frame.message); // a message to a call that has returned is late, not wrong
      return;
    }
    const call = this.#outgoing.get(frame.id);
    this.#outgoing.delete(frame.id);
    if (frame.kind === 'return') call?.resolve(frame.value);
    else call?.reject(frame.error);
  }

  async #serve(id: number, method: string, params: unknown): Promise<void> {
    const side = new Side((message) => this.#send({ kind: 'message', id, from: 'callee', message }));
    this.#incoming.set(id, side);
    try {
      const handler = this.#handlers[method];
      if (!handler) throw new Error(`no such call: ${method}`);
      this.#send({ kind: 'return', id, value: await handler(params, side) });
    } catch (error) {
      this.#send({ kind: 'throw', id, error: error instanceof Error ? error : new Error(String(error)) });
    }
    this.#incoming.delete(id);
  }

  #send(frame: Frame): void {
    if (!this.#closedBy) this.#port.postMessage(frame);
  }
}
