// What kind of reply a message is, by rcode and sections (CoreDNS plugin/pkg/response/typify.go and dnsutil/ttl.go): what the
// cache keeps and what the log files under a class.
import { OPCODE_NOTIFY, OPCODE_QUERY, RCODE, TYPE } from './constants.ts';
import type { ResourceRecord } from './record.ts';
import type { Reply, Request } from './request.ts';

export type ResponseType =
  | 'noError'
  | 'nameError'
  | 'serverError'
  | 'noData'
  | 'delegation'
  | 'meta'
  | 'update'
  | 'otherError';
export type ResponseClass = 'success' | 'denial' | 'error';

export function responseType(request: Request, reply: Reply): ResponseType {
  if (request.opcode === OPCODE_NOTIFY) return 'meta';
  if (request.opcode !== OPCODE_QUERY) return 'update';
  const { type } = request.question;
  if (type === TYPE.AXFR || type === TYPE.IXFR) return 'meta';
  if (reply.answer.length > 0 && reply.rcode === RCODE.NOERROR) return 'noError';
  let soa = false;
  let ns = false;
  for (const record of reply.authority) {
    soa ||= record.type === TYPE.SOA;
    ns ||= record.type === TYPE.NS;
  }
  if (soa && reply.rcode === RCODE.NOERROR) return 'noData';
  if (soa && reply.rcode === RCODE.NXDOMAIN) return 'nameError';
  if (reply.rcode === RCODE.SERVFAIL || reply.rcode === RCODE.NOTIMP) return 'serverError';
  if (ns && reply.rcode === RCODE.NOERROR) return 'delegation';
  return reply.rcode === RCODE.NOERROR ? 'noError' : 'otherError';
}

export function responseClass(type: ResponseType): ResponseClass {
  if (type === 'noError' || type === 'delegation') return 'success';
  return type === 'nameError' || type === 'noData' ? 'denial' : 'error';
}

const SHORTEST_TTL_S = 5;
const LONGEST_TTL_S = 3600;

/** The lowest TTL in the message, in seconds; 5 where the kind of reply has none worth keeping. */
export function minimalTtl(type: ResponseType, reply: Reply): number {
  if (type !== 'noError' && type !== 'nameError' && type !== 'noData') return SHORTEST_TTL_S;
  if (reply.answer.length + reply.authority.length + reply.additional.length === 0) return SHORTEST_TTL_S;
  if (reply.ttl !== undefined) return Math.min(reply.ttl, LONGEST_TTL_S);
  return lowest(reply.additional, lowest(reply.authority, lowest(reply.answer, LONGEST_TTL_S)));
}

function lowest(records: readonly ResourceRecord[], ttl: number): number {
  for (const record of records) if (record.ttl < ttl) ttl = record.ttl;
  return ttl;
}
