// A CoreDNS in this process: sockets in memory, objects from an array, an upstream that is a function, a virtual clock.
import type { KubeObject, ResourceType } from '../../src/api/meta.ts';
import { resourceOfKind } from '../../src/api/resources.ts';
import { CLASS_IN, RCODE, typeNumber } from '../../src/dns/constants.ts';
import { type DecodedReply, decodeMessage, decodeQuery, rdataText } from '../../src/dns/message.ts';
import { type Edns, encodeMessage, FLAG_QR, FLAG_RA, FLAG_RD } from '../../src/dns/message-writer.ts';
import type { ObjectHandlers, ObjectSource } from '../../src/dns/plugin/kubernetes/source.ts';
import type { ResourceRecord } from '../../src/dns/record.ts';
import { parseRecord } from '../../src/dns/record-text.ts';
import { type CoreDnsOptions, runCoreDns } from '../../src/dns/run.ts';
import type { Address, DnsSockets, UdpPort } from '../../src/dns/sockets.ts';
import { VirtualClock } from '../../src/lib/clock.ts';
import { SeededRng } from '../../src/lib/rng.ts';

/** Objects handed out by kind, as an API would; `synced` false: the lists never come. */
export class StaticObjects implements ObjectSource {
  readonly #objects: KubeObject[];
  readonly #handlers = new Map<string, Set<ObjectHandlers<KubeObject>>>();
  synced: boolean;

  constructor(objects: readonly KubeObject[], synced = true) {
    this.#objects = [...objects];
    this.synced = synced;
  }

  watch<T extends KubeObject>(
    type: ResourceType<T>,
    handlers: ObjectHandlers<T>,
  ): { hasSynced(): boolean; close(): void } {
    const list = this.#handlers.get(type.kind) ?? new Set();
    this.#handlers.set(type.kind, list.add(handlers as ObjectHandlers<KubeObject>));
    if (this.synced) for (const object of this.#objects) if (object.kind === type.kind) handlers.set(object as T);
    return { hasSynced: () => this.synced, close: () => void list.delete(handlers as ObjectHandlers<KubeObject>) };
  }

  set(object: KubeObject): void {
    if (resourceOfKind(object.apiVersion, object.kind) === undefined) throw new Error(`no such kind: ${object.kind}`);
    for (const handlers of this.#handlers.get(object.kind) ?? []) handlers.set(object);
  }

  delete(object: KubeObject): void {
    for (const handlers of this.#handlers.get(object.kind) ?? []) handlers.delete(object);
  }
}

export type Exchange = (query: Uint8Array, to: Address) => Uint8Array | Error | undefined;

/** UDP only; everything sent to a port of ours reaches its handler, what goes out goes to `upstream`. */
export class MemorySockets implements DnsSockets {
  readonly #ports = new Map<number, (bytes: Uint8Array, from: Address) => void>();
  readonly #waiting = new Map<number, (bytes: Uint8Array) => void>();
  readonly tcp = new Map<number, Parameters<DnsSockets['listenTcp']>[2]>();
  readonly opened: Address[] = [];
  readonly #upstream: Exchange;
  #client = 40000;

  constructor(upstream: Exchange) {
    this.#upstream = upstream;
  }

  async listenUdp(address: string, port: number): Promise<UdpPort> {
    const local = { address, port: port === 0 ? 5300 : port };
    return {
      local,
      onMessage: (handler) => void this.#ports.set(local.port, handler),
      onError: () => {},
      send: (bytes, to) => this.#waiting.get(to.port)?.(bytes),
      close: () => void this.#ports.delete(local.port),
    };
  }

  async listenTcp(address: string, port: number, onConnection: Parameters<DnsSockets['listenTcp']>[2]) {
    this.tcp.set(port, onConnection);
    return { local: { address, port: port === 0 ? 5300 : port }, close: () => void this.tcp.delete(port) };
  }

  async openUdp(to: Address) {
    this.opened.push(to);
    let onMessage: (bytes: Uint8Array) => void = () => {};
    let onError: (error: Error) => void = () => {};
    return {
      local: { address: '10.244.0.3', port: 33333 },
      onMessage(handler: (bytes: Uint8Array) => void) {
        onMessage = handler;
      },
      onError(handler: (error: Error) => void) {
        onError = handler;
      },
      send: (bytes: Uint8Array) => {
        const reply = this.#upstream(bytes, to);
        if (reply instanceof Error) queueMicrotask(() => onError(reply));
        else if (reply !== undefined) queueMicrotask(() => onMessage(reply));
      },
      close: () => {},
    };
  }

  connectTcp(): Promise<never> {
    return Promise.reject(Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }));
  }

  /** The same for what is answered in the same turn; undefined: it was not. */
  sendNow(bytes: Uint8Array, port = 53): Uint8Array | undefined {
    let reply: Uint8Array | undefined;
    this.#waiting.set(1, (got) => {
      reply = got;
    });
    this.#ports.get(port)?.(bytes, { address: '10.244.0.9', port: 1 });
    return reply;
  }

  /** Sends the bytes to the port as a client; undefined when no reply came within a few turns of the loop. */
  async send(bytes: Uint8Array, port = 53): Promise<Uint8Array | undefined> {
    const from = this.#client++;
    let reply: Uint8Array | undefined;
    this.#waiting.set(from, (got) => {
      reply = got;
    });
    this.#ports.get(port)?.(bytes, { address: '10.244.0.9', port: from });
    for (let i = 0; i < 50 && reply === undefined; i++) await new Promise((resolve) => setImmediate(resolve));
    this.#waiting.delete(from);
    return reply;
  }
}

export interface AskOptions {
  readonly edns?: Edns | undefined;
  readonly class?: number;
  readonly port?: number;
  readonly flags?: number;
}

export interface Dns {
  readonly clock: VirtualClock;
  readonly sockets: MemorySockets;
  readonly objects: StaticObjects;
  readonly lines: string[];
  ask(name: string, type: string, options?: AskOptions): Promise<DecodedReply>;
  stop(): Promise<number>;
}

export interface DnsSetup extends Partial<Omit<CoreDnsOptions, 'clock' | 'sockets' | 'objects'>> {
  readonly corefile: CoreDnsOptions['corefile'];
  readonly objects?: readonly KubeObject[];
  readonly synced?: boolean;
  readonly upstream?: Exchange;
}

/** Resolves when it answers; rejects with its output when it ended instead. */
export async function startDns(setup: DnsSetup): Promise<Dns> {
  const { objects: list = [], synced = true, upstream = () => undefined, ...rest } = setup;
  const clock = new VirtualClock();
  const sockets = new MemorySockets(upstream);
  const objects = new StaticObjects(list, synced);
  const abort = new AbortController();
  const lines: string[] = [];
  let listening = false;
  let exit: number | undefined;
  const ended = runCoreDns({
    ...{ rng: new SeededRng(1), localAddresses: ['10.244.0.3'], resolvConf: '' },
    ...rest,
    ...{ clock, sockets, objects, signal: abort.signal, log: (line: string) => void lines.push(line) },
    onListening: () => {
      listening = true;
    },
  });
  ended.then((code) => {
    exit = code;
  });
  await clock.until(() => listening || exit !== undefined, 10e6);
  if (exit !== undefined) throw new Error(lines.join('\n'));
  return {
    clock,
    sockets,
    objects,
    lines,
    async ask(name, type, options = {}) {
      const reply = await sockets.send(query(name, type, options), options.port);
      if (reply === undefined) throw new Error(`no reply for ${name} ${type}`);
      const decoded = decodeMessage(reply);
      if (decoded === undefined)
        throw new Error(`malformed reply for ${name} ${type}: ${Buffer.from(reply).toString('hex')}`);
      return decoded;
    },
    async stop() {
      abort.abort();
      await clock.run(60e6);
      return ended;
    },
  };
}

export function query(name: string, type: string, options: AskOptions = {}): Uint8Array {
  const question = { name, type: typeNumber(type)!, class: options.class ?? CLASS_IN };
  const nothing = { answer: [], authority: [], additional: [] };
  return encodeMessage(
    { id: 4711, flags: options.flags ?? FLAG_RD, rcode: 0, question, edns: options.edns, ...nothing },
    65535,
  )!;
}

/** An upstream with these answers: `{'example.net. A': {rcode, answer: ['example.net. 3600 IN A 1.2.3.4']}}`; else NXDOMAIN. */
export function fakeUpstream(answers: Record<string, { rcode: string; answer: string[] }>): Exchange {
  return (bytes) => {
    const decoded = decodeQuery(bytes);
    if (decoded.kind !== 'query') return undefined;
    const { id, question } = decoded.query;
    const found = Object.entries(answers).find(([key]) => {
      const [name, type] = key.split(' ');
      return name!.toLowerCase() === question.name.toLowerCase() && typeNumber(type!) === question.type;
    })?.[1];
    const rcode = found === undefined ? RCODE.NXDOMAIN : RCODE[found.rcode as keyof typeof RCODE];
    const answer = (found?.answer ?? []).filter((line) => line !== '').map(parseRecord);
    const flags = FLAG_QR | FLAG_RD | FLAG_RA;
    return encodeMessage({ id, flags, rcode, question, answer, authority: [], additional: [], edns: undefined }, 65535);
  };
}

/** `name ttl type data`, sorted. */
export function texts(records: readonly ResourceRecord[]): string[] {
  return records.map((record) => `${record.name} ${record.ttl} ${record.type} ${rdataText(record)}`).sort();
}
