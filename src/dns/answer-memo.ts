// Replies ready to send: a query whose bytes (but for the id) have been seen before is answered by copying, as long as what the
// answer was made from has not changed. CoreDNS has no such thing: to a client, to the metrics and to the logs there must be no
// difference, so a reply is kept only when every plugin on its way agreed (`Reply.lasting`), with what each has to count.
//
//   query bytes --hash--> slot -> [ key: query after its id | reply after its id ]   512 bytes, in one buffer
//                              -> lasting: whose version says whether it still holds, until when, whom to tell
//                              -> where the TTLs stand, for replies whose TTLs count down
//
// Open addressing, four places for a key, then the first of them is overwritten. Grows by doubling while it fills, up to 16 MiB.
// A hit allocates the reply's buffer and nothing else. Bytes; times in microseconds, TTLs in seconds.

/** Something replies are made from; every change of it raises the version. */
export interface Epoch {
  version: number;
}

/** Counts a reply that was given without asking the plugins. */
export interface HitCounter {
  hit(bytes: number, seconds: number): void;
}

/** Says that the same query may get the same reply again, for how long and what has to be done then. */
export interface Lasting {
  readonly epoch: Epoch;
  /** The epoch's at the time the reply was made. */
  readonly version: number;
  /** For replies from the cache: when they were kept and for how many seconds; 0: without limit. */
  readonly keptUs: number;
  readonly ttlS: number;
  /** Whether the TTLs go out with what is left of `ttlS`. */
  readonly countsDown: boolean;
  readonly counters: readonly HitCounter[];
}

const SLOT = 512;
const PLACES = 4;
const FIRST_CAPACITY = 256;
const LAST_CAPACITY = 32768;
/** TTL fields of a reply that can be counted down; replies with more are not kept. */
const MAX_TTLS = 15;

export class AnswerMemo {
  #capacity = 0;
  #bytes: Buffer = Buffer.alloc(0);
  #hashes = new Uint32Array(0);
  #keyLengths = new Uint16Array(0);
  #replyLengths = new Uint16Array(0);
  /** Per slot the number of TTLs, then their offsets in the reply. */
  #ttls = new Uint16Array(0);
  #lasting: (Lasting | undefined)[] = [];
  #used = 0;

  clear(): void {
    this.#capacity = 0;
    this.#used = 0;
    this.#bytes = Buffer.alloc(0);
    this.#lasting = [];
  }

  /** The reply, the caller's own; undefined when there is none that holds. `nowUs` is asked for once or not at all. */
  answer(query: Uint8Array, clock: { nowUs(): number }): Uint8Array | undefined {
    if (this.#used === 0) return undefined;
    const slot = this.#find(query, hashOf(query));
    if (slot < 0) return undefined;
    const lasting = this.#lasting[slot]!;
    if (lasting.epoch.version !== lasting.version) return undefined;
    const startUs = clock.nowUs();
    let left = 0;
    if (lasting.ttlS > 0) {
      left = lasting.ttlS - Math.floor((startUs - lasting.keptUs) / 1e6);
      if (left <= 0) return undefined;
    }
    const from = this.#bytes;
    const at = slot * SLOT + this.#keyLengths[slot]!;
    const length = this.#replyLengths[slot]!;
    const reply = Buffer.allocUnsafe(length + 2);
    reply[0] = query[0]!;
    reply[1] = query[1]!;
    from.copy(reply, 2, at, at + length);
    if (lasting.countsDown) this.#setTtls(reply, slot, left);
    const { counters } = lasting;
    if (counters.length > 0) {
      const seconds = (clock.nowUs() - startUs) / 1e6;
      for (let i = 0; i < counters.length; i++) counters[i]!.hit(length + 2, seconds);
    }
    return reply;
  }

  /** Keeps the reply to a query, if it is small enough. */
  keep(query: Uint8Array, reply: Uint8Array, lasting: Lasting): void {
    const keyLength = query.length - 2;
    const replyLength = reply.length - 2;
    if (keyLength + replyLength > SLOT) return;
    const ttls = lasting.countsDown ? ttlOffsets(reply) : NO_TTLS;
    if (ttls === undefined) return;
    if (this.#used * 2 >= this.#capacity && this.#capacity < LAST_CAPACITY) this.#grow();
    const hash = hashOf(query);
    let slot = this.#find(query, hash);
    if (slot < 0) slot = this.#place(hash);
    if (this.#lasting[slot] === undefined) this.#used++;
    this.#hashes[slot] = hash;
    this.#keyLengths[slot] = keyLength;
    this.#replyLengths[slot] = replyLength;
    this.#lasting[slot] = lasting;
    this.#bytes.set(query.subarray(2), slot * SLOT);
    this.#bytes.set(reply.subarray(2), slot * SLOT + keyLength);
    const at = slot * (MAX_TTLS + 1);
    this.#ttls[at] = ttls.length;
    for (let i = 0; i < ttls.length; i++) this.#ttls[at + 1 + i] = ttls[i]!;
  }

  #find(query: Uint8Array, hash: number): number {
    const mask = this.#capacity - 1;
    const length = query.length - 2;
    for (let i = 0; i < PLACES; i++) {
      const slot = (hash + i) & mask;
      if (this.#hashes[slot] !== hash || this.#keyLengths[slot] !== length) continue;
      if (this.#lasting[slot] !== undefined && this.#isKey(slot, query)) return slot;
    }
    return -1;
  }

  #isKey(slot: number, query: Uint8Array): boolean {
    const bytes = this.#bytes;
    const at = slot * SLOT - 2;
    for (let i = 2; i < query.length; i++) if (bytes[at + i] !== query[i]) return false;
    return true;
  }

  /** Where a new key goes: a place that is free or holds what is out of date, else the first one's. */
  #place(hash: number): number {
    const mask = this.#capacity - 1;
    for (let i = 0; i < PLACES; i++) {
      const slot = (hash + i) & mask;
      const lasting = this.#lasting[slot];
      if (lasting === undefined || lasting.epoch.version !== lasting.version) return slot;
    }
    return hash & mask;
  }

  #setTtls(reply: Buffer, slot: number, ttl: number): void {
    const at = slot * (MAX_TTLS + 1);
    for (let i = this.#ttls[at]!; i > 0; i--) {
      const offset = this.#ttls[at + i]!;
      reply[offset] = ttl >>> 24;
      reply[offset + 1] = ttl >>> 16;
      reply[offset + 2] = ttl >>> 8;
      reply[offset + 3] = ttl;
    }
  }

  #grow(): void {
    const old = { hashes: this.#hashes, keys: this.#keyLengths, replies: this.#replyLengths, ttls: this.#ttls };
    const [bytes, lasting, count] = [this.#bytes, this.#lasting, this.#capacity];
    const capacity = Math.max(FIRST_CAPACITY, this.#capacity * 2);
    this.#capacity = capacity;
    this.#bytes = Buffer.alloc(capacity * SLOT);
    this.#hashes = new Uint32Array(capacity);
    this.#keyLengths = new Uint16Array(capacity);
    this.#replyLengths = new Uint16Array(capacity);
    this.#ttls = new Uint16Array(capacity * (MAX_TTLS + 1));
    this.#lasting = new Array<Lasting | undefined>(capacity).fill(undefined);
    this.#used = 0;
    for (let from = 0; from < count; from++) {
      const kept = lasting[from];
      if (kept === undefined || kept.epoch.version !== kept.version) continue;
      const slot = this.#place(old.hashes[from]!);
      if (this.#lasting[slot] === undefined) this.#used++;
      this.#hashes[slot] = old.hashes[from]!;
      this.#keyLengths[slot] = old.keys[from]!;
      this.#replyLengths[slot] = old.replies[from]!;
      this.#lasting[slot] = kept;
      bytes.copy(this.#bytes, slot * SLOT, from * SLOT, (from + 1) * SLOT);
      const width = MAX_TTLS + 1;
      this.#ttls.set(old.ttls.subarray(from * width, (from + 1) * width), slot * width);
    }
  }
}

const NO_TTLS: readonly number[] = [];

/** FNV-1a over what follows the id; never 0 matters not: a free slot has no `lasting`. */
function hashOf(query: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (let i = 2; i < query.length; i++) hash = Math.imul(hash ^ query[i]!, 0x01000193);
  // The low bits choose the place: let the high ones have a say.
  return (hash ^ (hash >>> 15)) >>> 0;
}

/** Where the TTLs of the records stand in a message of our own making, the OPT record's left out; undefined: too many. */
function ttlOffsets(message: Uint8Array): number[] | undefined {
  const offsets: number[] = [];
  let at = 12;
  if (message[5] === 1) at = afterName(message, at) + 4;
  let records = 0;
  for (let i = 6; i < 12; i += 2) records += (message[i]! << 8) | message[i + 1]!;
  for (; records > 0; records--) {
    at = afterName(message, at);
    const isOpt = message[at] === 0 && message[at + 1] === 41;
    if (!isOpt) offsets.push(at + 4);
    at += 10 + ((message[at + 8]! << 8) | message[at + 9]!);
  }
  return offsets.length > MAX_TTLS ? undefined : offsets;
}

function afterName(message: Uint8Array, at: number): number {
  for (;;) {
    const length = message[at]!;
    if (length === 0) return at + 1;
    if (length >= 0xc0) return at + 2;
    at += length + 1;
  }
}
