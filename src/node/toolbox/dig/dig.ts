// dig, worded as BIND 9.18's, with the options people look at a cluster's DNS with (see command-line.ts).
// Left out: zone transfers, +trace, +multiline, +yaml, TSIG, batch files, DNS over TLS and HTTPS, IPv6.
import { formatIPv4 } from '../../../tcpip-ts/wire/address.ts';
import type { ProcessContext, Program } from '../../workloads/program.ts';
import {
  AUTHENTIC_DATA,
  askTcp,
  askUdp,
  CHECKING_DISABLED,
  DnsFailure,
  type DnsQuery,
  type DnsReply,
  type DnsTransport,
  isDomainName,
  RECURSION_DESIRED,
  rcodeOf,
} from '../dns/client.ts';
import { candidates, lookup as lookUpHost, ResolveError, resolverSettings } from '../dns/resolver.ts';
import { type DigCommand, type Lookup, parseDig, VERSION } from './command-line.ts';
import { report, shortReport } from './report.ts';

// dig's exit codes
const NO_REPLY = 9;
const INTERNAL_ERROR = 10;

export const dig: Program = async (ctx) => {
  const command = parseDig(ctx.argv.slice(1));
  if ('code' in command) {
    ctx.stdout.write(command.stdout);
    ctx.stderr.write(command.stderr);
    return command.code;
  }
  for (const warning of command.warnings) ctx.stderr.write(`${warning}\n`);
  return new Session(ctx, command).run();
};

interface Server {
  /** Host order, at least one. */
  readonly addresses: readonly number[];
  readonly name: string;
}

interface Attempted {
  readonly reply: DnsReply;
  readonly server: number;
  readonly tcp: boolean;
  readonly elapsedUs: number;
}

class Session {
  readonly #ctx: ProcessContext;
  readonly #command: DigCommand;
  readonly #cookie = new Uint8Array(8);
  /** The heading is printed once, before the first result. */
  #greeted = false;

  constructor(ctx: ProcessContext, command: DigCommand) {
    this.#ctx = ctx;
    this.#command = command;
    for (let i = 0; i < this.#cookie.length; i++) this.#cookie[i] = ctx.rng.below(256);
  }

  async run(): Promise<number> {
    let code = 0;
    for (const lookup of this.#command.lookups) {
      const server = await this.#serverOf(lookup);
      if (typeof server === 'string') {
        this.#ctx.stderr.write(`dig: ${server}\n`);
        return 1;
      }
      const result = await this.#look(lookup, server);
      if (result !== 0) code = result;
    }
    return code;
  }

  async #serverOf({ server }: Lookup): Promise<Server | string> {
    if (server === undefined) {
      const addresses = resolverSettings(this.#ctx).nameservers;
      // Without resolv.conf BIND's tools ask the host itself.
      return { addresses: addresses.length > 0 ? addresses : [0x7f000001], name: '' };
    }
    try {
      return { addresses: (await lookUpHost(this.#ctx, server)).addresses, name: server };
    } catch (error) {
      if (!(error instanceof ResolveError)) throw error;
      return `couldn't get address for '${server}': ${error.code === 'EAI_NONAME' ? 'not found' : 'failure'}`;
    }
  }

  async #look(lookup: Lookup, server: Server): Promise<number> {
    const { stdout, stderr, clock } = this.#ctx;
    const settings = resolverSettings(this.#ctx);
    const searches = lookup.domain === undefined ? settings.searches : [lookup.domain];
    const ndots = lookup.ndots ?? settings.ndots;
    const names = lookup.search ? candidates(lookup.name, { searches, ndots }) : [lookup.name.replace(/(.)\.$/, '$1')];
    let found: Attempted | undefined;
    for (const name of names) {
      if (!isDomainName(name)) {
        stderr.write(`dig: '${name}' is not a legal name (empty label or label too long)\n`);
        return INTERNAL_ERROR;
      }
      found = await this.#attempt(lookup, name, server);
      if (!found || rcodeOf(found.reply.packet) !== 'NXDOMAIN') break; // only NXDOMAIN walks the search list on
    }
    if (!found) return NO_REPLY;
    const { short, port, microseconds } = this.#command;
    const dottedServer = formatIPv4(found.server);
    const exchange = {
      ...found,
      lookup,
      port,
      microseconds,
      server: dottedServer,
      serverName: server.name || dottedServer,
      cookie: this.#cookie,
      unixMs: clock.unixMs(),
    };
    if (!short) this.#greet(server);
    stdout.write(short ? shortReport(exchange) : report(exchange));
    return 0;
  }

  /** Asks until somebody answers; undefined, and all said about it, when nobody does. */
  async #attempt(lookup: Lookup, name: string, server: Server): Promise<Attempted | undefined> {
    const { stdout, clock } = this.#ctx;
    let tcp = lookup.tcp || lookup.type === 'ANY';
    let silent = false;
    for (let i = 0; i < lookup.tries * server.addresses.length; i++) {
      const addr = server.addresses[i % server.addresses.length]!;
      const transport = this.#transport(lookup, addr);
      const query = this.#query(lookup, name);
      const startUs = clock.nowUs();
      try {
        let reply = tcp ? await askTcp(transport, query) : (await askUdp(transport, [query]))[0]!;
        if (reply.packet.flag_tc && !tcp && !lookup.ignoreTruncation) {
          stdout.write(';; Truncated, retrying in TCP mode.\n');
          tcp = true;
          reply = await askTcp(transport, query);
        }
        return { reply, server: addr, tcp, elapsedUs: clock.nowUs() - startUs };
      } catch (error) {
        if (!(error instanceof DnsFailure)) throw error;
        silent = this.#complain(error, lookup.name, addr, server);
      }
    }
    if (!silent) {
      this.#greet(server);
      stdout.write(';; no servers could be reached\n');
    }
    return undefined;
  }

  /** Says what one try came to; true when that was the whole of it. */
  #complain(failure: DnsFailure, name: string, addr: number, server: Server): boolean {
    const { stdout } = this.#ctx;
    const where = `${formatIPv4(addr)}#${this.#command.port}`;
    const setup = failure.connecting
      ? 'Connection to'
      : failure.reason === 'network unreachable'
        ? 'UDP setup with'
        : '';
    if (setup === '') stdout.write(`;; communications error to ${where}: ${failure.reason}\n`);
    else {
      stdout.write(
        `;; ${setup} ${where}(${server.name || formatIPv4(addr)}) for ${name} failed: ${failure.reason}.\n;; no servers could be reached\n`,
      );
    }
    return setup !== '';
  }

  #greet({ addresses, name }: Server): void {
    if (this.#greeted || !this.#command.cmd) return;
    this.#greeted = true;
    const words = ['; <<>> DiG', VERSION, '<<>>', ...this.#ctx.argv.slice(1)];
    const found = `; (${addresses.length} server${addresses.length === 1 ? '' : 's'} found)\n`;
    this.#ctx.stdout.write(`\n${words.join(' ')}\n${name === '' ? '' : found};; global options: +cmd\n`);
  }

  #transport(lookup: Lookup, server: number): DnsTransport {
    const { stack, clock, rng, signal } = this.#ctx;
    return { stack, clock, rng, signal, server, port: this.#command.port, timeoutMs: lookup.timeoutS * 1000 };
  }

  #query(lookup: Lookup, name: string): DnsQuery {
    const flags =
      (lookup.recurse ? RECURSION_DESIRED : 0) |
      (lookup.authenticData ? AUTHENTIC_DATA : 0) |
      (lookup.checkingDisabled ? CHECKING_DISABLED : 0);
    const edns = { udpPayloadSize: lookup.bufferSize, dnssecOk: lookup.dnssec };
    return {
      name,
      type: lookup.type,
      class: lookup.class,
      flags,
      ...(lookup.edns ? { edns: lookup.cookie ? { ...edns, cookie: this.#cookie } : edns } : {}),
    };
  }
}
