// Walks the client's search path here instead of there (CoreDNS plugin/autopath): the first question of a walk,
// NAME + first search domain, is answered with what the first search domain that has the name gives, behind a CNAME.
// When none has it the first answer goes out, and the client walks on itself.
import { RCODE, TYPE } from '../../constants.ts';
import { isSubdomain, matchZone } from '../../name.ts';
import { nameRecord } from '../../record.ts';
import {
  type Handler,
  mustWrite,
  nextOrFailure,
  OnlyOnce,
  type Reply,
  ReplyKeeper,
  type Request,
  type ResponseWriter,
  type Served,
} from '../../request.ts';

const NAME = 'autopath';

/** The search domains of the client, absolute and in lower case, '' at the end for none; undefined: no search path. */
export type SearchPath = (request: Request) => readonly string[] | undefined;

export class AutoPath {
  readonly #zones: readonly string[];
  readonly #searchPath: SearchPath;
  readonly #next: Handler | undefined;
  readonly #succeeded: () => void;

  constructor(zones: readonly string[], searchPath: SearchPath, succeeded: () => void, next: Handler | undefined) {
    this.#zones = zones;
    this.#searchPath = searchPath;
    this.#succeeded = succeeded;
    this.#next = next;
  }

  serve(request: Request, writer: ResponseWriter): Served {
    const isOurs = matchZone(this.#zones, request.name) !== undefined;
    const search = isOurs ? this.#searchPath(request) : undefined;
    const first = search?.[0];
    if (first === undefined || first === '' || !isSubdomain(first, request.name)) {
      // Another client may have another search path.
      return nextOrFailure(NAME, this.#next, request, isOurs ? new OnlyOnce(writer) : writer);
    }
    const { name } = request.question;
    const base = name.slice(0, name.length - first.length);
    return new Walk(request, writer, base, search!, this.#next, this.#succeeded).from(0);
  }
}

class Walk {
  readonly #request: Request;
  readonly #writer: ResponseWriter;
  /** The name as the user gave it, with its trailing dot. */
  readonly #base: string;
  readonly #search: readonly string[];
  readonly #next: Handler | undefined;
  readonly #succeeded: () => void;
  #firstReply: Reply | undefined;
  #firstRcode = 0;

  constructor(
    request: Request,
    writer: ResponseWriter,
    base: string,
    search: readonly string[],
    next: Handler | undefined,
    succeeded: () => void,
  ) {
    this.#request = request;
    this.#writer = writer;
    this.#base = base;
    this.#search = search;
    this.#next = next;
    this.#succeeded = succeeded;
  }

  /** Tries the search domains from the i-th on. */
  from(i: number): Served {
    for (; i < this.#search.length; i++) {
      const keeper = new ReplyKeeper();
      const { type } = this.#request.question;
      const asked = this.#request.withQuestion(`${this.#base}${this.#search[i]!}` || '.', type);
      const served = nextOrFailure(NAME, this.#next, asked, keeper);
      if (served instanceof Promise) {
        const at = i;
        return served.then((rcode) => (this.#take(at, rcode, keeper.reply) ? RCODE.NOERROR : this.from(at + 1)));
      }
      if (this.#take(i, served, keeper.reply)) return RCODE.NOERROR;
    }
    if (!mustWrite(this.#firstRcode) && this.#firstReply !== undefined)
      this.#writer.write({ ...this.#firstReply, lasting: undefined });
    return this.#firstRcode;
  }

  /** True when it was the answer, which is then written. */
  #take(i: number, rcode: number, reply: Reply | undefined): boolean {
    if (i === 0) {
      this.#firstRcode = rcode;
      this.#firstReply = reply;
    }
    if (mustWrite(rcode) || reply === undefined || reply.rcode === RCODE.NXDOMAIN) return false;
    this.#writer.write({ ...behindAlias(reply, this.#request), lasting: undefined });
    this.#succeeded();
    return true;
  }
}

/** The client asked for another name than the answer is about: a CNAME leads from the one to the other. */
function behindAlias(reply: Reply, { question, name }: Request): Reply {
  const other = reply.answer.find((record) => record.name.toLowerCase() !== name);
  if (other === undefined) return reply;
  const alias = nameRecord(question.name, TYPE.CNAME, reply.ttl ?? other.ttl, other.name);
  return { ...reply, answer: [alias, ...reply.answer] };
}
