// Answers from zone files (CoreDNS plugin/file/file.go): which zone, what its outcome means for the reply, what lies elsewhere.
import { OPCODE_NOTIFY, RCODE, TYPE } from '../../constants.ts';
import { matchZone } from '../../name.ts';
import {
  type Handler,
  makeReply,
  nextOrFailure,
  type Reply,
  ReplyKeeper,
  type Request,
  type ResponseWriter,
  type Served,
} from '../../request.ts';
import type { Found, LookUp, Outcome, Zone } from './zone.ts';

const NAME = 'file';

export interface FileOptions {
  /** The zones as they are now, by origin; undefined where the file could not be read yet. The origins stay the same. */
  readonly zones: ReadonlyMap<string, Zone | undefined>;
  readonly fallthrough: readonly string[] | undefined;
  log(message: string): void;
}

export function answerFromFiles(options: FileOptions, next: Handler | undefined): Handler {
  const origins = [...options.zones.keys()];
  return (request, writer) => {
    const origin = matchZone(origins, request.name);
    if (origin === undefined) return nextOrFailure(NAME, next, request, writer);
    const zone = options.zones.get(origin);
    if (zone === undefined) return RCODE.SERVFAIL;
    const { type } = request.question;
    // Transfers are the plugin transfer's to give.
    if (type === TYPE.AXFR || type === TYPE.IXFR) return RCODE.REFUSED;
    if (request.opcode === OPCODE_NOTIFY) {
      options.log(`Dropping notify from ${request.origin.address} for ${origin}`);
      return RCODE.NOERROR;
    }
    const result = zone.find(request.name, type, request.dnssecOk, lookUpFor(request));
    const done = (found: Found): Served => reply(options, next, request, writer, found);
    return result instanceof Promise ? result.then(done) : done(result);
  };
}

function reply(
  options: FileOptions,
  next: Handler | undefined,
  request: Request,
  writer: ResponseWriter,
  { outcome, answer, authority, additional }: Found,
): Served {
  if (outcome === 'nameError' && answer.length === 0) {
    const through = options.fallthrough;
    if (through !== undefined && matchZone(through, request.name) !== undefined)
      return nextOrFailure(NAME, next, request, writer);
  }
  if (outcome === 'serverFailure' && answer.length === 0) return RCODE.SERVFAIL;
  const rcode = outcome === 'nameError' ? RCODE.NXDOMAIN : outcome === 'serverFailure' ? RCODE.SERVFAIL : RCODE.NOERROR;
  const authoritative = outcome !== 'delegation';
  writer.write(makeReply(NAME, rcode, { authoritative, answer, authority, additional }));
  return RCODE.NOERROR;
}

/** Asks the whole server, as for any client. */
function lookUpFor(request: Request): LookUp {
  return (target) => {
    const keeper = new ReplyKeeper();
    const served = request.server.serve(request.withQuestion(target, request.question.type), keeper);
    return served instanceof Promise ? served.then(() => taken(keeper.reply)) : taken(keeper.reply);
  };
}

function taken(given: Reply | undefined): { answer: Reply['answer']; outcome: Outcome } {
  if (given === undefined) return { answer: [], outcome: 'serverFailure' };
  const { answer, rcode, ttl } = given;
  const records = ttl === undefined ? answer : answer.map((record) => ({ ...record, ttl }));
  return { answer: records, outcome: outcomeOf(rcode, answer.length) };
}

function outcomeOf(rcode: number, answers: number): Outcome {
  if (rcode === RCODE.NXDOMAIN) return 'nameError';
  if (rcode === RCODE.SERVFAIL) return 'serverFailure';
  return answers === 0 ? 'noData' : 'success';
}
