// What dig prints about one answer: header, EDNS, sections, statistics. After bin/dig/dig.c's printmessage and received.
import { type Answer, type DecodedPacket, type DnsReply, rcodeOf } from '../dns/client.ts';
import { questionLine, rdata, recordLine } from '../dns/record-text.ts';
import type { Lookup, Section } from './command-line.ts';

export interface Exchange {
  readonly lookup: Lookup;
  readonly reply: DnsReply;
  /** Dotted. */
  readonly server: string;
  /** As the user named it. */
  readonly serverName: string;
  readonly port: number;
  readonly tcp: boolean;
  readonly elapsedUs: number;
  readonly microseconds: boolean;
  readonly cookie: Uint8Array;
  readonly unixMs: number;
}

/** An OPT record as dns-packet decodes it; its types know only the encoding side. */
interface Opt {
  readonly udpPayloadSize: number;
  readonly ednsVersion: number;
  readonly flag_do: boolean;
  readonly options: readonly { readonly code: number; readonly data?: Buffer }[];
}

const COOKIE = 10;

/** +short: the data of each answer. */
export function shortReport({ lookup, reply, server, elapsedUs }: Exchange): string {
  const by = lookup.identify ? ` from server ${server} in ${Math.floor(elapsedUs / 1000)} ms.` : '';
  return (reply.packet.answers ?? []).map((answer) => `${rdata(answer)}${by}\n`).join('');
}

export function report(exchange: Exchange): string {
  const { lookup, reply } = exchange;
  const { packet } = reply;
  const { shown } = lookup;
  const columns = { ttl: lookup.ttl, class: lookup.showClass };
  const out: string[] = shown.has('comments') ? header(packet, exchange.cookie) : [];
  const section = (key: Section, lines: readonly string[]): void => {
    if (!shown.has(key) || lines.length === 0) return;
    if (shown.has('comments')) out.push(`;; ${key.toUpperCase()} SECTION:`, ...lines, '');
    else out.push(...lines);
  };
  const records = (answers: readonly Answer[] = []): string[] =>
    answers.filter((a) => (a.type as string) !== 'OPT').map((a) => recordLine(a, columns));
  const questions = packet.questions ?? [];
  section(
    'question',
    questions.map((q) => questionLine(q.name, q.class ?? 'IN', q.type, columns)),
  );
  section('answer', records(packet.answers));
  section('authority', records(packet.authorities));
  section('additional', records(packet.additionals));
  if (shown.has('stats')) out.push(...statistics(exchange));
  return out.map((line) => `${line}\n`).join('');
}

function header(packet: DecodedPacket, cookie: Uint8Array): string[] {
  const { questions = [], answers = [], authorities = [], additionals = [] } = packet;
  const out = [';; Got answer:'];
  if (questions.some((q) => /(^|\.)local$/i.test(q.name))) {
    // Every cluster domain that ends in .local meets this one.
    out.push(
      ';; WARNING: .local is reserved for Multicast DNS',
      ';; You are currently testing what happens when an mDNS query is leaked to DNS',
    );
  }
  out.push(
    `;; ->>HEADER<<- opcode: QUERY, status: ${rcodeOf(packet)}, id: ${packet.id}`,
    `;; flags: ${flagsOf(packet)}; QUERY: ${questions.length}, ANSWER: ${answers.length}, AUTHORITY: ${authorities.length}, ADDITIONAL: ${additionals.length}`,
  );
  if (packet.flag_rd && !packet.flag_ra) out.push(';; WARNING: recursion requested but not available');
  out.push('');
  const opt = additionals.find((a) => (a.type as string) === 'OPT') as unknown as Opt | undefined;
  if (opt) {
    out.push(
      ';; OPT PSEUDOSECTION:',
      `; EDNS: version: ${opt.ednsVersion}, flags:${opt.flag_do ? ' do' : ''}; udp: ${opt.udpPayloadSize}`,
      ...opt.options.map(({ code, data = Buffer.alloc(0) }) => ednsOption(code, data, cookie)),
    );
  }
  return out;
}

function ednsOption(code: number, data: Buffer, cookie: Uint8Array): string {
  const hex = data.toString('hex');
  if (code !== COOKIE) return `; OPT=${code}: ${hex.replaceAll(/..(?=.)/g, '$& ')}`;
  const mine = data.subarray(0, cookie.length).equals(cookie);
  return `; COOKIE: ${hex} (${!mine ? 'bad' : data.length === cookie.length ? 'echoed' : 'good'})`;
}

function flagsOf(packet: DecodedPacket): string {
  const flags: readonly (readonly [string, boolean])[] = [
    ['qr', true],
    ['aa', packet.flag_aa],
    ['tc', packet.flag_tc],
    ['rd', packet.flag_rd],
    ['ra', packet.flag_ra],
    ['ad', packet.flag_ad],
    ['cd', packet.flag_cd],
  ];
  return flags
    .filter(([, set]) => set)
    .map(([name]) => name)
    .join(' ');
}

function statistics({ elapsedUs, microseconds, server, serverName, port, tcp, unixMs, reply }: Exchange): string[] {
  const took = microseconds ? `${Math.round(elapsedUs)} usec` : `${Math.floor(elapsedUs / 1000)} msec`;
  const when = new Date(unixMs).toUTCString().replace(/^(\w+), (\d+) (\w+) (\d+) (\S+) GMT$/, '$1 $3 $2 $5 UTC $4');
  return [
    `;; Query time: ${took}`,
    `;; SERVER: ${server}#${port}(${serverName}) (${tcp ? 'TCP' : 'UDP'})`,
    `;; WHEN: ${when}`,
    `;; MSG SIZE  rcvd: ${reply.size}`,
    '',
  ];
}
