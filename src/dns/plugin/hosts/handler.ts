// Answers from a hosts file and from lines in the Corefile (CoreDNS plugin/hosts/hosts.go). A name it does not know is a failure,
// not NXDOMAIN, since a hosts file has no SOA; `fallthrough` passes it on instead. TTLs in seconds.
import { RCODE, TYPE } from '../../constants.ts';
import { matchZone } from '../../name.ts';
import { addressRecord, nameRecord, type ResourceRecord } from '../../record.ts';
import {
  type Handler,
  makeReply,
  nextOrFailure,
  type Request,
  type ResponseWriter,
  type Served,
} from '../../request.ts';
import { addressOfReverse } from '../../reverse.ts';
import type { HostTable } from './table.ts';

const NAME = 'hosts';

export interface HostsOptions {
  readonly zones: readonly string[];
  readonly ttl: number;
  readonly fallthrough: readonly string[] | undefined;
  /** The tables at this moment: the file's, then the Corefile's lines. */
  tables(): readonly HostTable[];
}

export function answerFromHosts(options: HostsOptions, next: Handler | undefined): Handler {
  return (request, writer) => serve(options, next, request, writer);
}

function serve(options: HostsOptions, next: Handler | undefined, request: Request, writer: ResponseWriter): Served {
  const { type, name: owner } = request.question;
  const { name } = request;
  if (type !== TYPE.PTR && matchZone(options.zones, name) === undefined)
    return nextOrFailure(NAME, next, request, writer);
  const tables = options.tables();
  let answer: ResourceRecord[] = [];
  if (type === TYPE.PTR) {
    const address = addressOfReverse(name);
    const names = address === undefined ? [] : tables.flatMap((table) => table.names(address));
    if (names.length === 0) return nextOrFailure(NAME, next, request, writer);
    answer = names.map((target) => nameRecord(owner, TYPE.PTR, options.ttl, target));
  } else if (type === TYPE.A || type === TYPE.AAAA) {
    const length = type === TYPE.A ? 4 : 16;
    answer = tables.flatMap((table) => table.addresses(name, length)).map((a) => addressRecord(owner, options.ttl, a));
  }
  if (answer.length === 0 && !tables.some((table) => table.has(name))) {
    const through = options.fallthrough;
    if (through !== undefined && matchZone(through, name) !== undefined)
      return nextOrFailure(NAME, next, request, writer);
    return RCODE.SERVFAIL;
  }
  writer.write(makeReply(NAME, RCODE.NOERROR, { answer }));
  return RCODE.NOERROR;
}
