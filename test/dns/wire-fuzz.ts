// Foreign bytes for the server: messages built part by part, each part now and then wrong in one of the ways the format allows
// (counts, lengths, label types, pointers that loop or lead out), then bent at random. And what must hold for each: it is
// answered or met with silence as CoreDNS does, nothing is thrown, the reply is well formed. A message is told by seed and number.
import dnsPacket from 'dns-packet';
import { decodeMessage, decodeQuery } from '../../src/dns/message.ts';
import { type Rng, SeededRng } from '../../src/lib/rng.ts';
import { type Dns, startDns } from './harness.ts';
import { namespace, service, slice } from './support-objects.ts';

const COREFILE = `.:53 {
  errors
  prometheus :9153
  loadbalance
  cache 30
  kubernetes cluster.local in-addr.arpa ip6.arpa {
    pods insecure
  }
}
`;
const NAMES = [
  ['web', 'default', 'svc', 'cluster', 'local'],
  ['_http', '_tcp', 'db', 'default', 'svc', 'cluster', 'local'],
  ['db-0', 'db', 'default', 'svc', 'cluster', 'local'],
  ['many', 'default', 'svc', 'cluster', 'local'],
  ['10-0-0-1', 'default', 'pod', 'cluster', 'local'],
  ['cluster', 'local'],
  ['dns-version', 'cluster', 'local'],
  ['7', '0', '96', '10', 'in-addr', 'arpa'],
  ['example', 'org'],
  [],
];
const TYPES = [1, 2, 5, 6, 12, 15, 16, 28, 33, 41, 43, 65, 250, 251, 252, 255, 65280];

/** A message under construction. */
class Builder {
  readonly #rng: Rng;
  readonly bytes: number[] = [];

  constructor(rng: Rng) {
    this.#rng = rng;
  }

  oneIn(n: number): boolean {
    return this.#rng.below(n) === 0;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.#rng.below(list.length)]!;
  }

  u16(value: number): void {
    this.bytes.push((value >> 8) & 255, value & 255);
  }

  random(count: number): void {
    for (let i = 0; i < count; i++) this.bytes.push(this.#rng.below(256));
  }

  header(): void {
    this.u16(this.#rng.below(65536));
    let flags = this.pick([0x0100, 0x0100, 0x0100, 0x0000, 0x0110, 0x0120]);
    if (this.oneIn(30)) flags |= 0x8000;
    if (this.oneIn(30)) flags |= this.#rng.below(16) << 11;
    if (this.oneIn(30)) flags ^= 1 << this.#rng.below(16);
    this.u16(flags);
  }

  count(real: number): void {
    this.u16(this.oneIn(40) ? this.pick([0, 1, 2, 3, 255, 65535]) : real);
  }

  name(): void {
    for (const label of this.pick(NAMES)) {
      const text = this.oneIn(6) ? label.toUpperCase() : label;
      this.bytes.push(this.oneIn(150) ? this.#rng.below(256) : text.length, ...Buffer.from(text, 'latin1'));
      if (this.oneIn(60)) this.#oddLabel();
      if (this.oneIn(60)) {
        this.#pointer();
        return;
      }
    }
    if (this.oneIn(200)) for (let i = this.#rng.below(140); i > 0; i--) this.bytes.push(1, 0x61);
    if (!this.oneIn(100)) this.bytes.push(0);
  }

  #oddLabel(): void {
    const length = this.pick([0, 1, 3, 62, 63, 64, 0x40, 0x80, 0xbf]);
    this.bytes.push(length);
    this.random(Math.min(length, 63));
  }

  /** To itself, ahead, back into the header, into a name, beyond the end. */
  #pointer(): void {
    const here = this.bytes.length;
    const target = this.pick([here, here + 1, here + 2, here - 1, 0, 11, 12, 13, 0x3fff, this.#rng.below(here)]);
    this.u16(0xc000 | (target & 0x3fff));
  }

  question(): void {
    this.name();
    this.u16(this.oneIn(20) ? this.#rng.below(65536) : this.pick(TYPES));
    this.u16(this.oneIn(20) ? this.#rng.below(65536) : 1);
  }

  record(): void {
    this.name();
    this.u16(this.pick(TYPES));
    this.u16(1);
    this.random(4);
    const length = this.#rng.below(24);
    this.u16(this.oneIn(10) ? this.#rng.below(65536) : length);
    this.random(length);
  }

  opt(): void {
    this.bytes.push(0);
    this.u16(41);
    this.u16(this.pick([0, 511, 512, 1232, 4096, 65535]));
    this.bytes.push(this.oneIn(20) ? this.#rng.below(256) : 0, this.oneIn(20) ? this.#rng.below(256) : 0);
    this.u16(this.pick([0, 0x8000, 0xffff]));
    const options: number[] = [];
    for (let i = this.#rng.below(3); i > 0; i--) {
      const length = this.#rng.below(20);
      const said = this.oneIn(15) ? this.#rng.below(65536) : length;
      const code = this.pick([3, 8, 10, 11, 12, 65001]);
      options.push(code >> 8, code & 255, said >> 8, said & 255);
      for (let k = 0; k < length; k++) options.push(this.#rng.below(256));
    }
    this.u16(this.oneIn(20) ? this.#rng.below(65536) : options.length);
    this.bytes.push(...options);
  }

  message(): void {
    this.header();
    const questions = this.oneIn(30) ? this.#rng.below(4) : 1;
    const records = [0, 0, 0].map(() => (this.oneIn(25) ? 1 : 0));
    const opts = this.oneIn(2) ? (this.oneIn(40) ? 2 : 1) : 0;
    this.count(questions);
    this.count(records[0]!);
    this.count(records[1]!);
    this.count(records[2]! + opts);
    for (let i = 0; i < questions; i++) this.question();
    for (const n of records) if (n > 0) this.record();
    for (let i = 0; i < opts; i++) this.opt();
  }

  /** Flips, cuts, repeats, inserts. */
  bend(): void {
    for (let i = 1 + this.#rng.below(3); i > 0 && this.bytes.length > 0; i--) {
      const at = this.#rng.below(this.bytes.length);
      const how = this.#rng.below(5);
      if (how === 0) this.bytes[at]! ^= 1 << this.#rng.below(8);
      else if (how === 1) this.bytes[at] = this.pick([0, 1, 63, 64, 0xc0, 0xff]);
      else if (how === 2) this.bytes.length = at;
      else if (how === 3) this.bytes.splice(at, 0, this.#rng.below(256));
      else this.bytes.push(...this.bytes.slice(at, at + this.#rng.below(40)));
    }
  }
}

export function fuzzMessage(rng: Rng): Uint8Array {
  const builder = new Builder(rng);
  builder.message();
  if (builder.oneIn(3)) builder.bend();
  return Uint8Array.from(builder.bytes);
}

/** A server for foreign bytes, with a little of everything to find. */
export function startTarget(): Promise<Dns> {
  const many = Array.from({ length: 80 }, (_, i) => `10.244.2.${i + 1}`);
  const objects = [
    namespace('default'),
    ...[service('web', '10.96.0.7'), service('db', 'None'), service('many', 'None')],
    slice('db', [{ addresses: ['10.244.0.5'], hostname: 'db-0', conditions: { ready: true } }]),
    slice('many', many),
  ];
  return startDns({ corefile: COREFILE, objects });
}

/** What is wrong with how the server took the message; undefined: nothing. */
export function judge(query: Uint8Array, reply: Uint8Array | undefined): string | undefined {
  const decoded = decodeQuery(query);
  decodeMessage(query); // must not throw either
  const isSilence = query.length < 12 || (query[2]! & 0x80) !== 0;
  if (isSilence) return reply === undefined ? undefined : 'answered what calls for silence';
  if (reply === undefined) return 'no reply';
  if (reply[0] !== query[0] || reply[1] !== query[1]) return 'another id';
  const message = decodeMessage(reply);
  if (message === undefined) return 'a malformed reply';
  if ((message.flags & 0x8000) === 0) return 'a reply that is none';
  if (decoded.kind === 'reject')
    return message.rcode === decoded.rcode ? undefined : `rcode ${message.rcode} for a rejection`;
  if (decoded.kind !== 'query') return 'answered what cannot be read';
  const { question, edns } = decoded.query;
  if (message.question?.name !== question.name || message.question.type !== question.type) return 'another question';
  if (reply.length > Math.max(512, edns?.udpSize ?? 0)) return `${reply.length} bytes`;
  if ((message.edns === undefined) !== (edns === undefined)) return 'OPT without OPT, or none for one';
  // dns-packet throws at options it knows with contents it does not.
  if ((edns?.options.length ?? 0) > 0) return undefined;
  try {
    dnsPacket.decode(Buffer.from(reply));
  } catch (error) {
    return `dns-packet: ${(error as Error).message}`;
  }
  return undefined;
}

export interface FuzzResult {
  readonly messages: number;
  readonly bytes: number;
  /** How many got a reply with each rcode; `silence` for none. */
  readonly outcomes: ReadonlyMap<string, number>;
  /** The first message that was taken wrongly, if any. */
  readonly failure?: { readonly number: number; readonly hex: string; readonly what: string };
}

/** `count` messages from one seed against one server. */
export async function fuzz(seed: number, count: number): Promise<FuzzResult> {
  const rng = new SeededRng(seed);
  const dns = await startTarget();
  const outcomes = new Map<string, number>();
  let bytes = 0;
  for (let number = 0; number < count; number++) {
    const query = fuzzMessage(rng);
    bytes += query.length;
    let what: string | undefined;
    let reply: Uint8Array | undefined;
    try {
      reply = dns.sockets.sendNow(query);
      what = judge(query, reply);
    } catch (error) {
      what = (error as Error).stack ?? String(error);
    }
    const panic = dns.lines.find((line) => line.includes('Recovered from panic'));
    if (panic !== undefined) what = panic;
    const outcome = reply === undefined ? 'silence' : String(reply[3]! & 15);
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    // Failed lookups are logged; a million lines are not wanted.
    dns.lines.length = 0;
    if (what !== undefined) {
      await dns.stop();
      return {
        messages: number + 1,
        bytes,
        outcomes,
        failure: { number, hex: Buffer.from(query).toString('hex'), what },
      };
    }
  }
  await dns.stop();
  return { messages: count, bytes, outcomes };
}
