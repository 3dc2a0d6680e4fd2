// The JSON of stored objects, made once for all who read it: a change that a thousand watchers hear of is encoded once, and so is a Pod that
// is in one list after the other. Objects of the store never change, so their encoding does not either. As the real server's
// k8s.io/apiserver/pkg/endpoints/handlers/watch.go and cachingObject, which encode a watch event once.
//
// What is kept is bounded: the oldest go first.
import type { KubeObject, List } from '../../api/meta.ts';

export type EventType = 'ADDED' | 'MODIFIED' | 'DELETED';

interface Entry {
  readonly json: Buffer;
  readonly lines: Partial<Record<EventType, Buffer>>;
}

const MAX_BYTES = 64 << 20;
const COMMA = Buffer.from(',');
const END_OF_LIST = Buffer.from(']}\n');
const END_OF_LINE = Buffer.from('}\n');
const STARTS: Readonly<Record<EventType, Buffer>> = {
  ADDED: start('ADDED'),
  MODIFIED: start('MODIFIED'),
  DELETED: start('DELETED'),
};

export class EncodedObjects {
  readonly #entries = new Map<KubeObject, Entry>();
  #bytes = 0;

  /** Of an object that will not change any more. The bytes are shared. */
  json(object: KubeObject): Buffer {
    return this.#entry(object).json;
  }

  /** A whole list, items from what is kept. */
  list({ items, ...list }: List<KubeObject>): Buffer {
    const parts: Buffer[] = [Buffer.from(`${JSON.stringify(list).slice(0, -1)},"items":[`)];
    for (const [i, item] of items.entries()) {
      if (i > 0) parts.push(COMMA);
      parts.push(this.json(item));
    }
    parts.push(END_OF_LIST);
    return Buffer.concat(parts);
  }

  /** The line of a watch. The bytes are shared. */
  eventLine(type: EventType, object: KubeObject): Buffer {
    const { json, lines } = this.#entry(object);
    let line = lines[type];
    if (!line) {
      lines[type] = line = Buffer.concat([STARTS[type], json, END_OF_LINE]);
      this.#grow(line.length);
    }
    return line;
  }

  #entry(object: KubeObject): Entry {
    let entry = this.#entries.get(object);
    if (!entry) {
      entry = { json: Buffer.from(JSON.stringify(object)), lines: {} };
      this.#entries.set(object, entry);
      this.#grow(entry.json.length);
    }
    return entry;
  }

  #grow(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes <= MAX_BYTES) return;
    for (const [object, { json, lines }] of this.#entries) {
      this.#entries.delete(object);
      this.#bytes -= json.length;
      for (const line of Object.values(lines)) this.#bytes -= line.length;
      if (this.#bytes <= MAX_BYTES / 2) return;
    }
  }
}

function start(type: EventType): Buffer {
  return Buffer.from(`{"type":"${type}","object":`);
}
