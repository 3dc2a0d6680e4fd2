// nslookup, worded as BIND 9's.
import { formatIPv4, parseIPv4 } from '../../tcpip-ts/wire/address.ts';
import type { ProcessContext, Program } from '../workloads/program.ts';
import { reverseName } from './dig.ts';
import { type Answer, askUdp, type DnsReply } from './dns-client.ts';
import { candidates, rcodeOf, resolve, resolverSettings, transport } from './resolver.ts';

export const nslookup: Program = async (ctx) => {
  const operands = ctx.argv.slice(1).filter((a) => !a.startsWith('-'));
  const typeFlag = ctx.argv.slice(1).find((a) => /^-(q|query|t|type)=/.test(a));
  const [name, serverName] = operands;
  if (name === undefined) {
    ctx.stderr.write('usage: nslookup [-type=TYPE] NAME [SERVER]\n');
    return 1;
  }
  const settings = resolverSettings(ctx);
  let server: number | undefined = settings.nameservers[0];
  if (serverName !== undefined) {
    const found = await resolve(ctx, serverName).catch(() => undefined);
    server = found?.[0];
    if (server === undefined) {
      ctx.stdout.write(`nslookup: couldn't get address for '${serverName}': not found\n`);
      return 1;
    }
  }
  if (server === undefined) {
    ctx.stdout.write(';; no servers could be reached\n');
    return 1;
  }
  const shown = serverName ?? formatIPv4(server);
  const types = typeFlag ? [typeFlag.split('=')[1]!.toUpperCase()] : ['A', 'AAAA'];
  const literal = parseIPv4(name);
  const names = literal !== undefined ? [reverseName(literal)] : candidates(name, settings);
  let replies: DnsReply[] = [];
  let asked = name;
  for (const candidate of names) {
    const found = await ask(ctx, server, candidate, literal !== undefined ? ['PTR'] : types);
    if (!found) {
      ctx.stdout.write(`;; connection timed out; no servers could be reached\n\n`);
      return 1;
    }
    replies = found;
    asked = candidate;
    if (found.some(({ packet }) => (packet.answers ?? []).length > 0) || rcodeOf(found[0]!.packet) === 'SERVFAIL')
      break;
  }
  if (literal === undefined || replies.length === 0)
    ctx.stdout.write(`Server:\t\t${shown}\nAddress:\t${formatIPv4(server)}#53\n\n`);
  const answers = replies.flatMap(({ packet }) => packet.answers ?? []);
  if (answers.length === 0) {
    const rcode = rcodeOf(replies[0]!.packet);
    if (rcode === 'NOERROR') ctx.stdout.write(`*** Can't find ${name}: No answer\n\n`);
    else ctx.stdout.write(`** server can't find ${rcode === 'NXDOMAIN' ? name : asked}: ${rcode}\n\n`);
    return rcode === 'NOERROR' ? 0 : 1;
  }
  for (const answer of answers) ctx.stdout.write(line(answer));
  ctx.stdout.write('\n');
  return 0;
};

async function ask(
  ctx: ProcessContext,
  server: number,
  name: string,
  types: readonly string[],
): Promise<DnsReply[] | undefined> {
  const settings = resolverSettings(ctx);
  try {
    return await askUdp(
      transport(ctx, server, settings),
      types.map((type) => ({ name, type })),
    );
  } catch {
    return undefined;
  }
}

function line(answer: Answer): string {
  switch (answer.type) {
    case 'A':
    case 'AAAA':
      return `Name:\t${answer.name}\nAddress: ${answer.data}\n`;
    case 'CNAME':
      return `${answer.name}\tcanonical name = ${answer.data}.\n`;
    case 'PTR':
      return `${answer.name}\tname = ${answer.data}.\n`;
    case 'SRV':
      return `${answer.name}\tservice = ${answer.data.priority} ${answer.data.weight} ${answer.data.port} ${answer.data.target}.\n`;
    case 'TXT':
      return `${answer.name}\ttext = ${[answer.data]
        .flat()
        .map((d) => `"${d}"`)
        .join(' ')}\n`;
    case 'NS':
      return `${answer.name}\tnameserver = ${answer.data}.\n`;
    default:
      return `${answer.name}\t${answer.type}\n`;
  }
}
