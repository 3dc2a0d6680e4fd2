// node:http's connection keeping over the Pod's own TCP, or TLS over that. A request that finds no idle connection to its host takes the socket that
// was given last; without `prepare` it fails rather than reach out through the machine's own network.
import { Agent } from 'node:http';
import type { Duplex } from 'node:stream';

export class StackAgent extends Agent {
  #prepared: Duplex | null = null;

  constructor() {
    super({ keepAlive: true });
  }

  /** The connection of the next request to a host without an idle one. */
  prepare(socket: Duplex): void {
    this.#prepared = socket;
  }

  hasIdle(host: string, port: number): boolean {
    return this.freeSockets[`${host}:${port}:`]?.some((socket) => socket.writable) ?? false;
  }

  override createConnection(): Duplex {
    const socket = this.#prepared;
    if (!socket) throw new Error('no connection was prepared for this request');
    this.#prepared = null;
    return socket;
  }
}
