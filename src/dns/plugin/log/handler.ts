// Writes a line for each query after it was answered (CoreDNS plugin/log/log.go, plugin/pkg/replacer):
// `10.244.0.5:50759 - 29008 "A IN example.org. udp 41 false 4096" NOERROR qr,rd,ra 68 0.000123s`.
// Deviation: {when}, {/METADATA} and time units other than seconds are not filled in.
import type { Clock } from '../../../lib/clock.ts';
import { classText, OPCODE_QUERY, rcodeText, typeText } from '../../constants.ts';
import { FLAG_CD, FLAG_RD } from '../../message-writer.ts';
import { isSubdomain } from '../../name.ts';
import {
  afterwards,
  errorReply,
  type Handler,
  mustWrite,
  nextOrFailure,
  type Reply,
  type Request,
  type ResponseWriter,
} from '../../request.ts';
import { type ResponseClass, responseClass, responseType } from '../../response-type.ts';

export const COMMON_FORMAT =
  '{remote}:{port} - {>id} "{type} {class} {name} {proto} {size} {>do} {>bufsize}" {rcode} {>rflags} {rsize} {duration}';
export const COMBINED_FORMAT = `${COMMON_FORMAT} "{>opcode}"`;

export interface LogRule {
  /** Names below it are logged. */
  readonly zone: string;
  readonly format: string;
  /** Undefined: all. */
  readonly classes: ReadonlySet<ResponseClass> | undefined;
}

class Recorder implements ResponseWriter {
  readonly #inner: ResponseWriter;
  reply: Reply | undefined;
  bytes = 0;

  constructor(inner: ResponseWriter) {
    this.#inner = inner;
  }

  write(reply: Reply): number {
    this.reply = reply;
    // The next one has a line of its own.
    this.bytes = this.#inner.write(reply.lasting === undefined ? reply : { ...reply, lasting: undefined });
    return this.bytes;
  }
}

/** A code that the server would answer with is answered here, so that the line can tell the reply's size. */
export function logQueries(
  rules: readonly LogRule[],
  clock: Clock,
  log: (line: string) => void,
  next: Handler | undefined,
): Handler {
  return (request, writer) => {
    const rule = rules.find(({ zone }) => isSubdomain(zone, request.name));
    if (rule === undefined) return nextOrFailure('log', next, request, writer);
    const recorder = new Recorder(writer);
    const startUs = clock.nowUs();
    return afterwards(
      () => nextOrFailure('log', next, request, recorder),
      (rcode, error) => {
        if (mustWrite(rcode)) recorder.write(errorReply(rcode));
        const { reply } = recorder;
        if (reply !== undefined && isWanted(rule, request, reply)) {
          log(fill(rule.format, request, reply, recorder.bytes, (clock.nowUs() - startUs) / 1e6));
        }
        if (error !== undefined) throw error;
        return reply === undefined ? rcode : 0;
      },
    );
  };
}

function isWanted(rule: LogRule, request: Request, reply: Reply): boolean {
  return rule.classes === undefined || rule.classes.has(responseClass(responseType(request, reply)));
}

function fill(format: string, request: Request, reply: Reply, bytes: number, seconds: number): string {
  const { question, origin, edns } = request;
  const values: Record<string, string | number> = {
    remote: origin.address.includes(':') ? `[${origin.address}]` : origin.address,
    port: origin.port,
    type: typeText(question.type),
    class: classText(question.class),
    name: request.name,
    proto: origin.proto,
    size: request.size,
    rcode: rcodeText(reply.rcode),
    rsize: bytes,
    duration: `${Number(seconds.toFixed(9))}s`,
    '>id': request.id,
    '>opcode': request.opcode,
    '>do': String(edns?.dnssecOk ?? false),
    '>bufsize': request.limit,
    '>rflags': flagsText(request, reply),
  };
  return format.replace(/\{([^}]*)\}/g, (_, key: string) => String(values[key.toLowerCase()] ?? '-'));
}

function flagsText(request: Request, reply: Reply): string {
  const copied = request.opcode === OPCODE_QUERY ? request.flags : 0;
  const flags = ['qr'];
  if (reply.authoritative) flags.push('aa');
  if (reply.truncated) flags.push('tc');
  if (copied & FLAG_RD) flags.push('rd');
  if (reply.recursionAvailable) flags.push('ra');
  if (reply.authenticData) flags.push('ad');
  if (copied & FLAG_CD) flags.push('cd');
  return flags.join(',');
}
