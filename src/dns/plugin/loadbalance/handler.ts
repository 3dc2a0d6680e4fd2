// Gives address and MX records of a reply in random order, CNAMEs first (CoreDNS plugin/loadbalance/loadbalance.go).
import type { Rng } from '../../../lib/rng.ts';
import { RCODE, TYPE } from '../../constants.ts';
import type { ResourceRecord } from '../../record.ts';
import { type Handler, nextOrFailure, type Reply, type ResponseWriter } from '../../request.ts';

class Shuffler implements ResponseWriter {
  readonly #inner: ResponseWriter;
  readonly #rng: Rng;

  constructor(inner: ResponseWriter, rng: Rng) {
    this.#inner = inner;
    this.#rng = rng;
  }

  write(reply: Reply): number {
    const { answer, authority, additional, rcode } = reply;
    if (rcode !== RCODE.NOERROR || (answer.length < 2 && authority.length < 2 && additional.length < 2))
      return this.#inner.write(reply);
    const rng = this.#rng;
    return this.#inner.write({
      ...reply,
      answer: shuffled(answer, rng),
      authority: shuffled(authority, rng),
      additional: shuffled(additional, rng),
      lasting: undefined,
    });
  }
}

export function shuffleReplies(rng: Rng, next: Handler | undefined): Handler {
  return (request, writer) => nextOrFailure('loadbalance', next, request, new Shuffler(writer, rng));
}

/** A new list; the old one may be shared. */
function shuffled(records: readonly ResourceRecord[], rng: Rng): readonly ResourceRecord[] {
  if (records.length < 2) return records;
  const { type } = records[0]!;
  if (isAddress(type) && records.every((record) => record.type === type)) return shuffle([...records], rng);
  const aliases = records.filter((record) => record.type === TYPE.CNAME);
  const addresses = records.filter((record) => isAddress(record.type));
  const exchanges = records.filter((record) => record.type === TYPE.MX);
  const rest = records.filter(({ type: t }) => t !== TYPE.CNAME && t !== TYPE.MX && !isAddress(t));
  return [...aliases, ...rest, ...shuffle(addresses, rng), ...shuffle(exchanges, rng)];
}

function isAddress(type: number): boolean {
  return type === TYPE.A || type === TYPE.AAAA;
}

function shuffle<T>(list: T[], rng: Rng): T[] {
  for (let i = list.length - 1; i > 0; i--) {
    const j = rng.below(i + 1);
    [list[i], list[j]] = [list[j]!, list[i]!];
  }
  return list;
}
