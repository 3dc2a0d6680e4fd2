// nslookup, worded as BIND 9.18's (bin/dig/nslookup.c): nslookup [-type=T] [-port=P] [-timeout=S] [-retry=N] [-vc] [-nosearch]
// [-norecurse] NAME [SERVER]. Without -type: A, then AAAA of the name that the A records stand under.
// Left out: the interactive mode, -debug, and other options that only change what is shown.
import { formatIPv4, parseIPv4 } from '../../tcpip-ts/wire/address.ts';
import type { ProcessContext, Program } from '../workloads/program.ts';
import {
  type Answer,
  askTcp,
  askUdp,
  type DecodedPacket,
  DnsFailure,
  type DnsReply,
  isDomainName,
  RECURSION_DESIRED,
  rcodeOf,
} from './dns/client.ts';
import { dotted, rdata } from './dns/record-text.ts';
import { candidates, lookup, ResolveError, resolverSettings, reverseName } from './dns/resolver.ts';

const TYPES = new Set(['A', 'AAAA', 'ANY', 'CNAME', 'MX', 'NS', 'PTR', 'SOA', 'SRV', 'TXT']);

interface Options {
  type: string | undefined;
  port: number;
  timeoutMs: number;
  tries: number;
  tcp: boolean;
  search: boolean;
  recurse: boolean;
  /** Remarks on servers that offer no recursion; not on one that the user chose. */
  checksRecursion: boolean;
}

interface Server {
  readonly name: string;
  readonly addr: number;
}

export const nslookup: Program = async (ctx) => {
  const operands: string[] = [];
  const options: Options = {
    type: undefined,
    port: 53,
    timeoutMs: 5000,
    tries: 3,
    tcp: false,
    search: true,
    recurse: true,
    checksRecursion: true,
  };
  for (const arg of ctx.argv.slice(1)) {
    if (!arg.startsWith('-')) operands.push(arg);
    else if (/^-v(ersion)?$/i.test(arg)) {
      ctx.stderr.write('nslookup 9.18.49 (podwire)\n');
      return 0;
    } else {
      const problem = setOption(options, arg.slice(1));
      if (problem) ctx.stdout.write(`${problem}\n`);
    }
  }
  const [name, serverName] = operands;
  if (name === undefined || operands.length > 2) {
    ctx.stderr.write('Usage:\n   nslookup [-option[=value]]... name [server]\n');
    return 1;
  }
  if (serverName !== undefined) options.checksRecursion = false;
  let servers: Server[];
  try {
    servers = await serversOf(ctx, serverName);
  } catch (error) {
    if (!(error instanceof ResolveError)) throw error;
    const why = error.code === 'EAI_NONAME' ? 'not found' : 'failure';
    ctx.stderr.write(`nslookup: couldn't get address for '${serverName}': ${why}\n`);
    return 1;
  }
  const code = await new Session(ctx, options, servers).run(name);
  ctx.stdout.write('\n');
  return code;
};

/** What to say about an option that is not known. */
function setOption(options: Options, option: string): string | undefined {
  const [key = '', value = ''] = option.split('=', 2);
  const number = Number(value);
  if (['type', 'querytype', 'query', 'q', 'ty'].includes(key)) {
    if (!TYPES.has(value.toUpperCase())) return `unknown query type: ${value}`;
    options.type = value.toUpperCase();
  } else if (['port', 'po'].includes(key) && number > 0) options.port = number;
  else if (['timeout', 't'].includes(key) && number > 0) options.timeoutMs = number * 1000;
  else if (['retry', 'ret'].includes(key) && number > 0) options.tries = number;
  else if (key === 'vc' || key === 'novc') options.tcp = key === 'vc';
  else if (/^(no)?sea(rch)?$/.test(key)) options.search = !key.startsWith('no');
  else if (/^(no)?rec(urse)?$/.test(key)) options.recurse = !key.startsWith('no');
  else return `*** Invalid option: ${option}`;
  return undefined;
}

async function serversOf(ctx: ProcessContext, name: string | undefined): Promise<Server[]> {
  if (name !== undefined) return (await lookup(ctx, name)).addresses.map((addr) => ({ name, addr }));
  const { nameservers } = resolverSettings(ctx);
  return (nameservers.length > 0 ? nameservers : [0x7f000001]).map((addr) => ({ name: formatIPv4(addr), addr }));
}

interface Answered {
  readonly packet: DecodedPacket;
  readonly server: Server;
  /** The full name that was asked. */
  readonly name: string;
}

class Session {
  readonly #ctx: ProcessContext;
  readonly #options: Options;
  readonly #servers: readonly Server[];

  constructor(ctx: ProcessContext, options: Options, servers: readonly Server[]) {
    this.#ctx = ctx;
    this.#options = options;
    this.#servers = servers;
  }

  async run(name: string): Promise<number> {
    const { type, search } = this.#options;
    const literal = type === undefined || type === 'PTR' ? parseIPv4(name) : undefined;
    if (literal !== undefined)
      return this.#show(await this.#ask(reverseName(literal), 'PTR'), name, type !== undefined);
    const names = search ? candidates(name, resolverSettings(this.#ctx)) : [name.replace(/(.)\.$/, '$1')];
    let answered: Answered | undefined;
    for (const candidate of names) {
      if (!isDomainName(candidate)) continue;
      answered = await this.#ask(candidate, type ?? 'A');
      if (!answered || rcodeOf(answered.packet) !== 'NXDOMAIN') break; // only NXDOMAIN walks the search list on
    }
    if (type !== undefined || !answered || rcodeOf(answered.packet) !== 'NOERROR')
      return this.#show(answered, name, true);
    return this.#showBoth(answered);
  }

  /** The default: what A gave, then AAAA of the name at the end of its aliases. */
  async #showBoth(a: Answered): Promise<number> {
    this.#heading(a.server);
    this.#records(a.packet);
    const name = endOfAliases(a.name, a.packet.answers ?? []);
    const aaaa = await this.#ask(name, 'AAAA');
    if (!aaaa) return 1;
    if (rcodeOf(aaaa.packet) !== 'NOERROR') return this.#failure(aaaa);
    this.#records(aaaa.packet);
    if ((a.packet.answers ?? []).length + (aaaa.packet.answers ?? []).length === 0)
      this.#ctx.stdout.write(`*** Can't find ${name}: No answer\n`);
    return 0;
  }

  #show(answered: Answered | undefined, typed: string, withHeading: boolean): number {
    if (!answered) return 1;
    if (withHeading) this.#heading(answered.server);
    if (rcodeOf(answered.packet) !== 'NOERROR') return this.#failure(answered);
    this.#records(answered.packet);
    if ((answered.packet.answers ?? []).length === 0)
      this.#ctx.stdout.write(`*** Can't find ${typed.replace(/(.)\.$/, '$1')}: No answer\n`);
    if (!answered.packet.flag_aa && this.#options.type !== 'A') {
      this.#ctx.stdout.write('\nAuthoritative answers can be found from:\n');
      for (const record of answered.packet.authorities ?? []) this.#ctx.stdout.write(recordText(record));
    }
    return 0;
  }

  #heading({ name, addr }: Server): void {
    this.#ctx.stdout.write(`Server:\t\t${name}\nAddress:\t${formatIPv4(addr)}#${this.#options.port}\n\n`);
  }

  #failure({ name, packet }: Answered): number {
    this.#ctx.stdout.write(`** server can't find ${name}: ${rcodeOf(packet)}\n`);
    return 1;
  }

  #records({ answers = [], flag_aa }: DecodedPacket): void {
    if (!flag_aa && answers.length > 0) this.#ctx.stdout.write('Non-authoritative answer:\n');
    for (const answer of answers) this.#ctx.stdout.write(recordText(answer));
  }

  /**
   * The first server that answers; one that fails or offers no recursion is remarked on, and left if there is another.
   * Undefined, and said so, when none answers.
   */
  async #ask(name: string, type: string): Promise<Answered | undefined> {
    const { stdout } = this.#ctx;
    for (let attempt = 0; attempt < this.#options.tries; attempt++) {
      for (const [i, server] of this.#servers.entries()) {
        try {
          const { packet } = await this.#exchange(server, name, type);
          const remark =
            rcodeOf(packet) === 'SERVFAIL'
              ? 'SERVFAIL reply'
              : this.#options.recurse && this.#options.checksRecursion && !packet.flag_ra
                ? 'recursion not available'
                : undefined;
          const last = i === this.#servers.length - 1;
          if (remark)
            stdout.write(`;; Got ${remark} from ${formatIPv4(server.addr)}${last ? '' : ', trying next server'}\n`);
          if (!remark || last) return { packet, server, name };
        } catch (error) {
          if (!(error instanceof DnsFailure)) throw error;
          this.#complain(error, name, server);
        }
      }
    }
    if (!this.#options.tcp) stdout.write(';; no servers could be reached\n');
    return undefined;
  }

  #complain({ connecting, reason }: DnsFailure, name: string, { addr, name: serverName }: Server): void {
    const where = `${formatIPv4(addr)}#${this.#options.port}`;
    this.#ctx.stdout.write(
      connecting
        ? `;; Connection to ${where}(${serverName}) for ${name} failed: ${reason}.\n;; no servers could be reached\n`
        : `;; communications error to ${where}: ${reason}\n`,
    );
  }

  async #exchange({ addr }: Server, name: string, type: string): Promise<DnsReply> {
    const { stack, clock, rng, signal } = this.#ctx;
    const { port, timeoutMs, tcp, recurse } = this.#options;
    const transport = { stack, clock, rng, signal, server: addr, port, timeoutMs };
    const query = { name, type, flags: recurse ? RECURSION_DESIRED : 0 };
    if (tcp) return askTcp(transport, query);
    const reply = (await askUdp(transport, [query]))[0]!;
    if (!reply.packet.flag_tc) return reply;
    this.#ctx.stdout.write(';; Truncated, retrying in TCP mode.\n');
    return askTcp(transport, query);
  }
}

function endOfAliases(name: string, answers: readonly Answer[]): string {
  let end = name;
  for (const answer of answers) if (answer.type === 'CNAME' && answer.name === end) end = answer.data;
  return end;
}

function recordText(answer: Answer): string {
  const { name } = answer;
  switch (answer.type) {
    case 'A':
    case 'AAAA':
      return `Name:\t${name}\nAddress: ${answer.data}\n`;
    case 'CNAME':
      return `${name}\tcanonical name = ${dotted(answer.data)}\n`;
    case 'PTR':
      return `${name}\tname = ${dotted(answer.data)}\n`;
    case 'NS':
      return `${name}\tnameserver = ${dotted(answer.data)}\n`;
    case 'SRV':
      return `${name}\tservice = ${rdata(answer)}\n`;
    case 'TXT':
      return `${name}\ttext = ${rdata(answer)}\n`;
    case 'MX':
      return `${name}\tmail exchanger = ${rdata(answer)}\n`;
    case 'SOA': {
      const { mname, rname, serial, refresh, retry, expire, minimum } = answer.data;
      return `${name}\n\torigin = ${mname}\n\tmail addr = ${rname}\n\tserial = ${serial}\n\trefresh = ${refresh}\n\tretry = ${retry}\n\texpire = ${expire}\n\tminimum = ${minimum}\n`;
    }
    default:
      return `${name}\trdata_${answer.type} = ${rdata(answer)}\n`;
  }
}
