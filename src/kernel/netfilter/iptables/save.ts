// Rules as text, exactly as iptables-save 1.8.9 prints them, so that the real iptables-restore takes them.
import { formatHostPort, formatIpAddress, type IpAddress, type IpFamily } from '../../../tcpip-ts/wire/ip-address.ts';
import { protoName } from '../proto-name.ts';
import { statisticThreshold } from './compile.ts';
import type { Chain, CtState, Match, Rule, Target } from './rule.ts';

/** libxt_conntrack's order. */
const CT_STATES: readonly CtState[] = ['INVALID', 'NEW', 'RELATED', 'ESTABLISHED', 'UNTRACKED', 'SNAT', 'DNAT'];

const ALL_ONES6 = 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff';

/** `-A CHAIN …`, without counters and newline. */
export function formatRule(chain: string, rule: Rule<IpAddress>, family: IpFamily = 4): string {
  return `-A ${chain}${formatRuleSpec(rule, family)}`;
}

/** What stands after the chain's name; equal rules have equal specs. */
export function formatRuleSpec(rule: Rule<IpAddress>, family: IpFamily = 4): string {
  const parts = [...headerParts(rule.matches)];
  for (let i = 0; i < rule.matches.length; i++) {
    const match = rule.matches[i]!;
    if (match.kind === 'sport' || match.kind === 'dport') {
      const next = rule.matches[i + 1];
      // Ports that stand together are one match of the protocol's module.
      const both = next && next.kind !== match.kind && (next.kind === 'sport' || next.kind === 'dport');
      parts.push(`-m ${protoOf(rule)}`, formatPorts(match));
      if (both) {
        parts.push(formatPorts(next));
        i++;
      }
      continue;
    }
    const text = match.kind === 'transport' ? `-m ${protoOf(rule)}` : formatMatch(match, family);
    if (text !== '') parts.push(text);
  }
  if (rule.target) parts.push(formatTarget(rule.target));
  return parts.map((p) => ` ${p}`).join('');
}

/** A whole table: built-in chains in hook order, the others by name. `counters` gives each rule's, in chain order. */
export function formatTable<A extends IpAddress>(
  table: string,
  chains: readonly Chain<A>[],
  chainCounters: (chain: Chain<A>) => string,
  ruleCounters: ((chain: Chain<A>, index: number) => string) | undefined,
  family: IpFamily = 4,
): string {
  const lines = [`*${table}`];
  for (const chain of chains) lines.push(`:${chain.name} ${chain.policy ?? '-'} ${chainCounters(chain)}`);
  for (const chain of chains) {
    chain.rules.forEach((rule, i) => {
      lines.push(`${ruleCounters ? `${ruleCounters(chain, i)} ` : ''}${formatRule(chain.name, rule, family)}`);
    });
  }
  lines.push('COMMIT');
  return `${lines.join('\n')}\n`;
}

function* headerParts(matches: readonly Match<IpAddress>[]): Generator<string> {
  for (const kind of ['source', 'destination', 'in-interface', 'out-interface', 'protocol'] as const) {
    for (const match of matches) {
      if (match.kind !== kind) continue;
      const not = match.invert ? '! ' : '';
      if (match.kind === 'source' || match.kind === 'destination') {
        if (match.prefixLen === 0 && !match.invert) continue;
        yield `${not}${match.kind === 'source' ? '-s' : '-d'} ${formatIpAddress(match.addr)}/${match.prefixLen}`;
      } else if (match.kind === 'protocol') {
        yield `${not}-p ${protoName(match.proto)}`;
      } else if (match.kind === 'in-interface' || match.kind === 'out-interface') {
        yield `${not}${match.kind === 'in-interface' ? '-i' : '-o'} ${match.name}`;
      }
    }
  }
}

function formatMatch(match: Match<IpAddress>, family: IpFamily): string {
  switch (match.kind) {
    case 'addrtype':
      return `-m addrtype ${match.invert ? '! ' : ''}--${match.side}-type ${match.type}`;
    case 'set':
      return `-m set ${match.invert ? '! ' : ''}--match-set ${match.name} ${match.dims.join(',')}`;
    case 'mark':
      return `-m mark ${match.invert ? '! ' : ''}--mark ${hex(match.value)}${match.mask === 0xffffffff ? '' : `/${hex(match.mask)}`}`;
    case 'ctstate':
      return `-m conntrack ${match.invert ? '! ' : ''}--ctstate ${CT_STATES.filter((s) => match.states.includes(s)).join(',')}`;
    case 'statistic':
      return `-m statistic --mode random --probability ${(statisticThreshold(match.probability) / 0x80000000).toFixed(11)}`;
    case 'recent': {
      const op = match.op === 'set' ? '--set' : `--rcheck --seconds ${match.seconds} --reap`;
      return `-m recent ${op} --name ${match.name} --mask ${family === 6 ? ALL_ONES6 : '255.255.255.255'} --rsource`;
    }
    case 'ipvs':
      return `-m ipvs --vproto ${match.proto} --vaddr ${formatIpAddress(match.vaddr)} --vport ${match.vport}`;
    case 'comment':
      return `-m comment --comment ${quote(match.text)}`;
    default:
      return ''; // in the header, or a port
  }
}

function formatPorts(match: Extract<Match<IpAddress>, { kind: 'sport' | 'dport' }>): string {
  const range = match.first === match.last ? `${match.first}` : `${match.first}:${match.last}`;
  return `${match.invert ? '! ' : ''}--${match.kind} ${range}`;
}

function formatTarget(target: Target<IpAddress>): string {
  switch (target.kind) {
    case 'jump':
      return `-j ${target.chain}`;
    case 'goto':
      return `-g ${target.chain}`;
    case 'REJECT':
      return `-j REJECT --reject-with ${target.rejectWith}`;
    case 'MARK':
      return `-j MARK --set-xmark ${hex(target.value)}/${hex(target.mask)}`;
    case 'MASQUERADE':
      return `-j MASQUERADE${target.randomFully ? ' --random-fully' : ''}`;
    case 'DNAT':
      return `-j DNAT --to-destination ${target.port === 0 ? formatIpAddress(target.addr) : formatHostPort(target.addr, target.port)}`;
    default:
      return `-j ${target.kind}`;
  }
}

function protoOf(rule: Rule<IpAddress>): string {
  const match = rule.matches.find((m) => m.kind === 'protocol');
  return match?.kind === 'protocol' ? protoName(match.proto) : 'tcp';
}

/** As xtables_save_string: plain when it can be read back unquoted. */
function quote(text: string): string {
  if (/^[-_0-9a-zA-Z]+$/.test(text)) return text;
  return `"${text.replace(/["\\']/g, '\\$&')}"`;
}

function hex(value: number): string {
  return `0x${(value >>> 0).toString(16)}`;
}
