// Gives whole zones to those who may have them (CoreDNS plugin/transfer/transfer.go; AXFR of RFC 5936; IXFR of RFC 1995 answered
// with the SOA alone when the client is up to date and with the whole zone when not). Over TCP only, as several messages.
// Leaves out notifies. Bytes.
import { RCODE, TYPE } from '../../constants.ts';
import { matchZone } from '../../name.ts';
import type { ResourceRecord } from '../../record.ts';
import { soaSerial } from '../../record.ts';
import {
  errorReply,
  type Handler,
  makeReply,
  nextOrFailure,
  type Request,
  type ResponseWriter,
  type Served,
} from '../../request.ts';
import type { Transferer } from '../plugin.ts';

const NAME = 'transfer';
/** A message ends before it has so many records, or so many bytes without compression. */
const MOST_RECORDS = 500;
const MOST_BYTES = 32_768;
const FIXED_BYTES = 12;

export interface TransferRule {
  readonly zones: readonly string[];
  /** Addresses in canonical text, or `*`. */
  readonly to: readonly string[];
}

export interface TransferOptions {
  readonly rules: readonly TransferRule[];
  /** Asked in turn; the first that has the zone gives it. */
  readonly transferers: readonly Transferer[];
  log(message: string): void;
}

export function giveZones(options: TransferOptions, next: Handler | undefined): Handler {
  return (request, writer) => {
    const { type } = request.question;
    if (type !== TYPE.AXFR && type !== TYPE.IXFR) return nextOrFailure(NAME, next, request, writer);
    if (request.origin.proto !== 'tcp') return RCODE.REFUSED;
    const rule = ruleFor(options.rules, request.name);
    if (rule === undefined) return nextOrFailure(NAME, next, request, writer);
    if (!rule.to.includes('*') && !rule.to.includes(request.origin.address)) {
      writer.write(errorReply(RCODE.REFUSED));
      return RCODE.NOERROR;
    }
    if (type === TYPE.IXFR && request.serial === undefined) return RCODE.SERVFAIL;
    for (const transfer of options.transferers) {
      const pieces = transfer(request.name, type === TYPE.IXFR ? request.serial : undefined);
      if (pieces !== undefined) return give(options, request, writer, pieces);
    }
    return nextOrFailure(NAME, next, request, writer);
  };
}

/** The rule with the longest zone that holds the name. */
function ruleFor(rules: readonly TransferRule[], name: string): TransferRule | undefined {
  let best: { readonly rule: TransferRule; readonly zone: string } | undefined;
  for (const rule of rules) {
    const zone = matchZone(rule.zones, name);
    if (zone !== undefined && (best === undefined || zone.length > best.zone.length)) best = { rule, zone };
  }
  return best?.rule;
}

function give(
  { log }: TransferOptions,
  request: Request,
  writer: ResponseWriter,
  pieces: Iterable<readonly ResourceRecord[]>,
): Served {
  let answer: ResourceRecord[] = [];
  let bytes = 0;
  let total = 0;
  let soa: ResourceRecord | undefined;
  for (const piece of pieces) {
    for (const record of piece) {
      soa ??= record;
      const size = sizeOf(record);
      if (answer.length >= MOST_RECORDS || bytes + size > MOST_BYTES) {
        writer.write(makeReply(NAME, RCODE.NOERROR, { answer, continues: true }));
        answer = [];
        bytes = 0;
      }
      answer.push(record);
      bytes += size;
      total++;
    }
  }
  const serial = soa === undefined ? 0 : soaSerial(soa);
  const { address } = request.origin;
  // Up to date: the SOA alone, and without the AA bit (the original answers it as any other question).
  const noop = total === 1;
  writer.write(makeReply(NAME, RCODE.NOERROR, { answer, authoritative: !noop }));
  const what = noop ? 'noop, incremental transfer for up to date zone' : `transfer of ${total} records of zone`;
  log(`Outgoing ${what} "${request.name}" to ${address} for ${serial} SOA serial`);
  return RCODE.NOERROR;
}

function sizeOf({ name, rdata }: ResourceRecord): number {
  const data =
    rdata instanceof Uint8Array
      ? rdata.length
      : rdata.before.length + rdata.after.length + rdata.names.reduce((sum, one) => sum + one.length + 1, 0);
  return FIXED_BYTES + name.length + data;
}
