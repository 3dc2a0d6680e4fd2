// A table as `nft list ruleset` of nftables 1.0.6 prints it, so that `nft -f` takes it and prints the same again.
import {
  familyOf,
  formatHostPort,
  formatIpAddress,
  type IpAddress,
  widthOf,
} from '../../../tcpip-ts/wire/ip-address.ts';
import { protoName } from '../proto-name.ts';
import { formatRange, rangesOf } from './ranges.ts';
import type {
  BaseChain,
  Expression,
  MapElement,
  MapKey,
  NftChain,
  NftMap,
  NftRule,
  NftSet,
  NftVerdict,
} from './ruleset.ts';
import { DYNAMIC_SET_SIZE } from './set-table.ts';

/** A table as it is shown, and walked by what-if: NftTable, or one that is only held (ip6/nftables.ts). */
export interface TableView extends RuleScope {
  readonly family: 'ip' | 'ip6';
  readonly name: string;
  readonly comment: string | undefined;
  /** In the order they were made. */
  readonly containers: readonly (SetView | MapView)[];
  readonly chains: ReadonlyMap<string, ChainView>;
  chain(name: string): ChainView;
}

export interface ChainView {
  readonly spec: NftChain;
  readonly rules: readonly NftRule<IpAddress>[];
}

interface SetView {
  readonly spec: NftSet;
  readonly table: { entries(nowUs: number): readonly { readonly addr: IpAddress; readonly deadlineUs: number }[] };
}

interface MapView {
  readonly spec: NftMap;
  readonly elements: ReadonlyMap<string, MapElement<IpAddress>>;
}

/** What a rule's text needs to know of its table: the keys of its maps. */
interface RuleScope {
  readonly family: 'ip' | 'ip6';
  map(name: string): { readonly spec: { readonly key: MapKey } };
}

const ADDRESS_TYPES = { ip: 'ipv4_addr', ip6: 'ipv6_addr' } as const;
/** nft's names for priorities of family ip, some on one hook only; near ones are printed as a distance from them. */
const PRIORITY_NAMES: readonly (readonly [string, number, hook?: string])[] = [
  ['raw', -300],
  ['mangle', -150],
  ['dstnat', -100, 'prerouting'],
  ['filter', 0],
  ['security', 50],
  ['srcnat', 100, 'postrouting'],
];

export function formatTable(table: TableView, nowUs: number): string {
  const parts = [
    ...table.containers.map((c) => ('elements' in c ? formatMap(c, table) : formatSet(c, table, nowUs))),
    ...Array.from(table.chains.values(), (chain) => formatChain(chain, table)),
  ];
  const comment = table.comment === undefined ? '' : `\tcomment "${table.comment}"\n`;
  return `table ${table.family} ${table.name} {\n${comment}${parts.join('\n')}}\n`;
}

function formatSet({ spec, table }: SetView, { family }: TableView, nowUs: number): string {
  const lines = [`\tset ${spec.name} {`, `\t\ttype ${ADDRESS_TYPES[family]}`];
  if (spec.timeoutS !== undefined) {
    lines.push(`\t\tsize ${DYNAMIC_SET_SIZE}`, '\t\tflags dynamic,timeout');
    lines.push(`\t\ttimeout ${formatDuration(spec.timeoutS * 1000)}`);
  }
  if (spec.comment !== undefined) lines.push(`\t\tcomment "${spec.comment}"`);
  const texts = table.entries(nowUs).map(({ addr, deadlineUs }) => {
    const left = deadlineUs - nowUs;
    return `${formatIpAddress(addr)}${Number.isFinite(left) ? ` expires ${formatDuration(Math.floor(left / 1000))}` : ''}`;
  });
  lines.push(...formatElements(texts, family === 'ip' ? 2 : 1), '\t}', '');
  return lines.join('\n');
}

function formatMap({ spec, elements }: MapView, { family }: TableView): string {
  const address = spec.key === 'addr.proto.port' ? `${ADDRESS_TYPES[family]} . ` : '';
  const lines = [`\tmap ${spec.name} {`, `\t\ttype ${address}inet_proto . inet_service : verdict`];
  if (spec.comment !== undefined) lines.push(`\t\tcomment "${spec.comment}"`);
  const texts = [...elements.values()].sort(byMemory).map((e) => formatMapElement(e, spec.key));
  lines.push(...formatElements(texts, 1), '\t}', '');
  return lines.join('\n');
}

export function formatMapElement(e: MapElement<IpAddress>, key: MapKey): string {
  const address = key === 'addr.proto.port' ? `${formatIpAddress(e.addr)} . ` : '';
  const comment = e.comment === undefined ? '' : ` comment "${e.comment}"`;
  return `${address}${protoName(e.proto)} . ${e.port}${comment} : ${formatVerdict(e.verdict)}`;
}

/** How many stand on a line depends on their type: calculate_delim() of nft's src/expression.c. */
function formatElements(texts: readonly string[], perLine: number): string[] {
  if (texts.length === 0) return [];
  const lines: string[] = [];
  for (let i = 0; i < texts.length; i += perLine) lines.push(texts.slice(i, i + perLine).join(', '));
  return [`\t\telements = { ${lines.join(',\n\t\t\t     ')} }`];
}

function formatChain({ spec, rules }: ChainView, table: TableView): string {
  const lines = [`\tchain ${spec.name} {`];
  if (spec.comment !== undefined) lines.push(`\t\tcomment "${spec.comment}"`);
  if (spec.base) {
    const { type, hook } = spec.base;
    lines.push(`\t\ttype ${type} hook ${hook} priority ${formatPriority(spec.base)}; policy accept;`);
  }
  for (const rule of rules) lines.push(`\t\t${formatRule(rule, table)}`);
  lines.push('\t}', '');
  return lines.join('\n');
}

/** As nft's command: `add rule ip TABLE CHAIN RULE`. */
export function formatAddRule(table: TableView, chain: string, rule: NftRule<IpAddress>): string {
  return `add rule ${table.family} ${table.name} ${chain} ${formatRule(rule, table)}`;
}

function formatRule(rule: NftRule<IpAddress>, scope: RuleScope): string {
  const texts = rule.expressions.map((e) => formatExpression(e, scope));
  if (rule.comment !== undefined) texts.push(`comment "${rule.comment}"`);
  return texts.join(' ');
}

function formatExpression(e: Expression<IpAddress>, scope: RuleScope): string {
  const { family } = scope;
  switch (e.kind) {
    case 'address':
      return `${family} ${e.field} ${not(e)}${formatIpAddress(e.addr)}${e.prefixLen === widthOf(familyOf(e.addr)) ? '' : `/${e.prefixLen}`}`;
    case 'address-in': {
      const texts = rangesOf(e.prefixes).map(formatRange);
      // nft takes the braces off a single address or prefix.
      const isOne = texts.length === 1 && !/-|\/0$/.test(texts[0]!);
      return `${family} ${e.field} ${not(e)}${isOne ? texts[0] : `{ ${texts.join(', ')} }`}`;
    }
    case 'address-set':
      return `${family} ${e.field} ${not(e)}@${e.set}`;
    case 'l4proto':
      return `meta l4proto ${protoName(e.proto)}`;
    case 'dport':
      return `${protoName(e.proto)} dport ${e.port}`;
    case 'iifname':
      return `iifname ${not(e)}"${e.name}"`;
    case 'ct-state-new':
      return 'ct state new';
    case 'fib-local':
      return `fib ${e.field} type local`;
    case 'mark':
      return `meta mark & ${hex(e.mask)} == ${hex(e.value)}`;
    case 'mark-set':
      return `meta mark set meta mark ${{ and: '&', or: '|', xor: '^' }[e.operator]} ${hex(e.value)}`;
    case 'vmap': {
      const address = scope.map(e.map).spec.key === 'addr.proto.port' ? `${family} daddr . ` : '';
      return `${address}meta l4proto . th dport vmap @${e.map}`;
    }
    case 'numgen-vmap': {
      const choices = e.verdicts.map((v, i) => `${i} : ${formatVerdict(v)}`).join(', ');
      return `numgen random mod ${e.verdicts.length} vmap { ${choices} }`;
    }
    case 'update':
      return `update @${e.set} { ${family} saddr }`;
    case 'dnat':
      return `dnat to ${formatHostPort(e.addr, e.port)}`;
    case 'masquerade':
      return `masquerade${e.fullyRandom ? ' fully-random' : ''}`;
    case 'reject':
      return 'reject';
    case 'verdict':
      return formatVerdict(e.verdict);
  }
}

export function formatVerdict(verdict: NftVerdict): string {
  return verdict.kind === 'jump' || verdict.kind === 'goto' ? `${verdict.kind} ${verdict.chain}` : verdict.kind;
}

function not(e: { readonly invert?: boolean }): string {
  return e.invert ? '!= ' : '';
}

function hex(value: number): string {
  return `0x${(value >>> 0).toString(16).padStart(8, '0')}`;
}

function formatPriority({ priority, hook }: BaseChain): string {
  const names = PRIORITY_NAMES.filter(([, , only]) => only === undefined || only === hook);
  const [name, at] = names.reduce((a, b) => (Math.abs(b[1] - priority) < Math.abs(a[1] - priority) ? b : a));
  const distance = priority - at;
  if (Math.abs(distance) > 10) return String(priority);
  return distance === 0 ? name : `${name} ${distance > 0 ? '+' : '-'} ${Math.abs(distance)}`;
}

/** `3h`, `1m30s`, `1m39s992ms`. */
function formatDuration(ms: number): string {
  const units: readonly (readonly [string, number])[] = [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1000],
    ['ms', 1],
  ];
  let rest = ms;
  let text = '';
  for (const [unit, size] of units) {
    const n = Math.floor(rest / size);
    if (n > 0) text += `${n}${unit}`;
    rest -= n * size;
  }
  return text === '' ? '0s' : text;
}

/** nft sorts concatenated keys as little-endian numbers: by the last field's bytes, back to front. */
function byMemory(a: MapElement<IpAddress>, b: MapElement<IpAddress>): number {
  return swap16(a.port) - swap16(b.port) || a.proto - b.proto || compareMemory(a.addr, b.addr);
}

function compareMemory(a: IpAddress, b: IpAddress): number {
  if (typeof a === 'number' && typeof b === 'number') return swap32(a) - swap32(b);
  const [x, y] = [reversed(a), reversed(b)];
  return x < y ? -1 : x > y ? 1 : 0;
}

function reversed(addr: IpAddress): string {
  return addr.toString(16).padStart(32, '0').match(/../g)!.reverse().join('');
}

function swap16(value: number): number {
  return ((value & 0xff) << 8) | (value >>> 8);
}

function swap32(value: number): number {
  return ((value << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24)) >>> 0;
}
