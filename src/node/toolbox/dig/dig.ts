// dig, worded as BIND 9.18's, with the options people look at a cluster's DNS with:
//   dig [@SERVER] [-p PORT] [-x ADDR] [-t TYPE] NAME [TYPE] [+short] [+tcp] [+search] [+noall +answer] [+noedns] [+time=S] [+tries=N]
import { formatIPv4, parseIPv4 } from '../../tcpip-ts/wire/address.ts';
import type { ProcessContext, Program } from '../workloads/program.ts';
import {
  type Answer,
  askTcp,
  askUdp,
  type DecodedPacket,
  DnsRefused,
  type DnsReply,
  type DnsTransport,
} from './dns-client.ts';
import { candidates, rcodeOf, resolve, resolverSettings } from './resolver.ts';

const VERSION = '9.18.49 (podwire)';
const TYPES = new Set(['A', 'AAAA', 'ANY', 'CNAME', 'MX', 'NS', 'PTR', 'SOA', 'SRV', 'TXT']);
const SECTIONS = ['comments', 'question', 'answer', 'authority', 'additional', 'stats', 'cmd'] as const;

interface Request {
  server: string | undefined;
  port: number;
  name: string;
  type: string;
  tcp: boolean;
  short: boolean;
  search: boolean;
  edns: boolean;
  timeoutS: number;
  tries: number;
  readonly shown: Set<string>;
}

export const dig: Program = async (ctx) => {
  const request = parse(ctx.argv.slice(1));
  if (typeof request === 'string') {
    ctx.stderr.write(`${request}\n`);
    return 1;
  }
  const settings = resolverSettings(ctx);
  const server = request.server
    ? (await resolve(ctx, request.server).catch(() => undefined))?.[0]
    : settings.nameservers[0];
  if (server === undefined) {
    ctx.stderr.write(
      request.server
        ? `dig: couldn't get address for '${request.server}': not found\n`
        : ';; no servers could be reached\n',
    );
    return request.server ? 10 : 9;
  }
  const serverText = formatIPv4(server);
  const transport: DnsTransport = {
    stack: ctx.stack,
    clock: ctx.clock,
    rng: ctx.rng,
    server,
    port: request.port,
    timeoutMs: request.timeoutS * 1000,
    edns: request.edns,
  };
  const names = request.search ? candidates(request.name, settings) : [request.name.replace(/(.)\.$/, '$1')];
  const startUs = ctx.clock.nowUs();
  let reply: DnsReply | undefined;
  for (const name of names) {
    reply = await ask(transport, request, name).catch((error: Error) => {
      const why = error instanceof DnsRefused ? 'connection refused' : 'timed out';
      ctx.stdout.write(`;; communications error to ${serverText}#${request.port}: ${why}\n`);
      return undefined;
    });
    if (!reply || (reply.packet.answers ?? []).length > 0) break;
  }
  if (!reply) {
    ctx.stdout.write('\n;; no servers could be reached\n');
    return 9;
  }
  const ms = Math.round((ctx.clock.nowUs() - startUs) / 1000);
  if (request.short) for (const answer of reply.packet.answers ?? []) ctx.stdout.write(`${rdata(answer)}\n`);
  else ctx.stdout.write(report(ctx, request, reply, serverText, ms));
  return 0;
};

/** `5.0.244.10.in-addr.arpa` of 10.244.0.5. */
export function reverseName(addr: number): string {
  return `${formatIPv4(addr).split('.').reverse().join('.')}.in-addr.arpa`;
}

async function ask(transport: DnsTransport, request: Request, name: string): Promise<DnsReply> {
  const question = { name: name === '' ? '.' : name, type: request.type };
  for (let attempt = 1; ; attempt++) {
    try {
      return request.tcp ? await askTcp(transport, question) : (await askUdp(transport, [question]))[0]!;
    } catch (error) {
      if (attempt >= request.tries || error instanceof DnsRefused) throw error;
    }
  }
}

function parse(args: readonly string[]): Request | string {
  const request: Request = {
    server: undefined,
    port: 53,
    name: '',
    type: 'A',
    tcp: false,
    short: false,
    search: false,
    edns: true,
    timeoutS: 5,
    tries: 3,
    shown: new Set(SECTIONS),
  };
  for (let i = 0; i < args.length; i++) {
    const arg = args[i]!;
    if (arg.startsWith('@')) request.server = arg.slice(1);
    else if (arg === '-p') request.port = Number(args[++i]);
    else if (arg === '-t') request.type = (args[++i] ?? 'A').toUpperCase();
    else if (arg === '-4') continue;
    else if (arg === '-x') {
      const addr = parseIPv4(args[++i] ?? '');
      if (addr === undefined) return `dig: '${args[i]}' is not an IPv4 address`;
      request.name = reverseName(addr);
      request.type = 'PTR';
    } else if (arg.startsWith('+')) {
      if (!applyFlag(request, arg.slice(1)))
        return `Invalid option: ${arg}\nUsage:  dig [@global-server] [domain] [q-type] {d-opt}`;
    } else if (arg.startsWith('-'))
      return `Invalid option: ${arg}\nUsage:  dig [@global-server] [domain] [q-type] {d-opt}`;
    else if (TYPES.has(arg.toUpperCase())) request.type = arg.toUpperCase();
    else request.name = arg;
  }
  return request;
}

function applyFlag(request: Request, flag: string): boolean {
  const [key = '', value] = flag.split('=');
  const off = key.startsWith('no');
  const name = off ? key.slice(2) : key;
  if (name === 'all') for (const s of SECTIONS) off ? request.shown.delete(s) : request.shown.add(s);
  else if ((SECTIONS as readonly string[]).includes(name)) off ? request.shown.delete(name) : request.shown.add(name);
  else if (name === 'short') request.short = !off;
  else if (name === 'tcp' || name === 'vc') request.tcp = !off;
  else if (name === 'search') request.search = !off;
  else if (name === 'edns') request.edns = !off;
  else if (name === 'time') request.timeoutS = Number(value);
  else if (name === 'tries') request.tries = Number(value);
  else if (name === 'retry') request.tries = Number(value) + 1;
  else return ['rec', 'recurse', 'cookie', 'dnssec', 'ignore', 'multiline', 'ttlid'].includes(name);
  return true;
}

function report(ctx: ProcessContext, request: Request, { packet, size }: DnsReply, server: string, ms: number): string {
  const { shown } = request;
  const out: string[] = [];
  const opt = (packet.additionals ?? []).find((a) => (a.type as string) === 'OPT') as
    | { udpPayloadSize?: number }
    | undefined;
  const additionals = (packet.additionals ?? []).filter((a) => (a.type as string) !== 'OPT');
  if (shown.has('cmd'))
    out.push('', `; <<>> DiG ${VERSION} <<>> ${ctx.argv.slice(1).join(' ')}`, ';; global options: +cmd');
  if (shown.has('comments')) {
    const flags = flagsOf(packet);
    out.push(
      ';; Got answer:',
      `;; ->>HEADER<<- opcode: QUERY, status: ${rcodeOf(packet)}, id: ${packet.id}`,
      `;; flags: ${flags}; QUERY: ${packet.questions?.length ?? 0}, ANSWER: ${packet.answers?.length ?? 0}, AUTHORITY: ${packet.authorities?.length ?? 0}, ADDITIONAL: ${packet.additionals?.length ?? 0}`,
    );
    if (!packet.flag_ra) out.push(';; WARNING: recursion requested but not available');
    out.push('');
    if (opt) out.push(';; OPT PSEUDOSECTION:', `; EDNS: version: 0, flags:; udp: ${opt.udpPayloadSize}`);
  }
  const section = (key: string, title: string, lines: readonly string[]): void => {
    if (!shown.has(key) || lines.length === 0) return;
    if (shown.has('comments')) out.push(`;; ${title} SECTION:`);
    out.push(...lines);
    if (shown.has('comments')) out.push('');
  };
  section(
    'question',
    'QUESTION',
    (packet.questions ?? []).map((q) => `;${pad(`${dot(q.name)}`, 31)}IN\t${q.type}`),
  );
  section('answer', 'ANSWER', (packet.answers ?? []).map(record));
  section('authority', 'AUTHORITY', (packet.authorities ?? []).map(record));
  section('additional', 'ADDITIONAL', additionals.map(record));
  if (shown.has('stats')) {
    const when = new Date(ctx.clock.unixMs())
      .toUTCString()
      .replace(/^(\w+), (\d+) (\w+) (\d+) (\S+) GMT$/, '$1 $3 $2 $5 UTC $4');
    out.push(
      `;; Query time: ${ms} msec`,
      `;; SERVER: ${server}#${request.port}(${server}) (${request.tcp ? 'TCP' : 'UDP'})`,
      `;; WHEN: ${when}`,
      `;; MSG SIZE  rcvd: ${size}`,
      '',
    );
  }
  return out.map((l) => `${l}\n`).join('');
}

function flagsOf(packet: DecodedPacket): string {
  const flags: [string, boolean][] = [
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

function dot(name: string): string {
  return name.endsWith('.') ? name : `${name}.`;
}

function record(answer: Answer): string {
  const { ttl = 0 } = answer as { ttl?: number };
  return `${pad(dot(answer.name), 24)}${ttl}\tIN\t${answer.type}\t${rdata(answer)}`;
}

/** Tabs up to a column, one at least, as dig lays records out. */
function pad(text: string, column: number): string {
  return text + '\t'.repeat(Math.max(1, Math.ceil((column - text.length) / 8)));
}

function rdata(answer: Answer): string {
  switch (answer.type) {
    case 'A':
    case 'AAAA':
      return answer.data;
    case 'SRV':
      return `${answer.data.priority ?? 0} ${answer.data.weight ?? 0} ${answer.data.port} ${dot(answer.data.target)}`;
    case 'SOA':
      return `${dot(answer.data.mname)} ${dot(answer.data.rname)} ${answer.data.serial} ${answer.data.refresh} ${answer.data.retry} ${answer.data.expire} ${answer.data.minimum}`;
    case 'TXT':
      return [answer.data]
        .flat()
        .map((d) => `"${d}"`)
        .join(' ');
    case 'CNAME':
    case 'PTR':
    case 'NS':
      return dot(answer.data);
    case 'MX':
      return `${answer.data.preference} ${dot(answer.data.exchange)}`;
    default:
      return '';
  }
}
