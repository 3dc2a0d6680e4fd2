// The rules of the plugin rewrite: a question in, another one out, and what is done to the records of the reply (CoreDNS
// plugin/rewrite). Names are absolute and in lower case, TTLs in seconds.
import type { Question } from '../../message-writer.ts';
import type { ResourceRecord } from '../../record.ts';

export type NameRewriter = (name: string) => string | undefined;

export interface Rule {
  /** Whether the rules after it have their turn when it has matched. */
  readonly continues: boolean;
  /** The new question; undefined: the rule does not match. */
  readonly rewrite: (question: Question) => Question | undefined;
  /** What is done to the records of the reply. */
  readonly reply: ReplyRules;
}

export interface ReplyRules {
  /** Owners equal to the new name go out as the one that was asked for. */
  readonly auto: boolean;
  /** Rewriters of owners, and of the names in records. */
  readonly owners: readonly NameRewriter[];
  readonly values: readonly NameRewriter[];
  readonly ttl: TtlBounds | undefined;
}

export interface TtlBounds {
  readonly min: number;
  readonly max: number;
}

export const NO_REPLY_RULES: ReplyRules = { auto: false, owners: [], values: [], ttl: undefined };

export function exact(from: string, to: string): NameRewriter {
  return (name) => (name === from ? to : undefined);
}

export function prefix(from: string, to: string): NameRewriter {
  return (name) => (name.startsWith(from) ? to + name.slice(from.length) : undefined);
}

export function suffix(from: string, to: string): NameRewriter {
  return (name) => (name.endsWith(from) ? name.slice(0, name.length - from.length) + to : undefined);
}

export function substring(from: string, to: string): NameRewriter {
  return (name) => (name.includes(from) ? name.replaceAll(from, to) : undefined);
}

/** `{1}` in `to` stands for the first group. Throws SyntaxError. */
export function pattern(from: string, to: string): NameRewriter {
  const regexp = new RegExp(from);
  return (name) => {
    const match = regexp.exec(name);
    return match === null ? undefined : to.replace(/\{(\d+)\}/g, (_, group: string) => match[Number(group)] ?? '');
  };
}

/** A record with its names and its TTL as the rules want them. */
export function rewriteRecord(
  record: ResourceRecord,
  owners: readonly NameRewriter[],
  values: readonly NameRewriter[],
  bounds: readonly TtlBounds[],
): ResourceRecord {
  const name = apply(record.name, owners);
  const ttl = within(record.ttl, bounds);
  const { rdata } = record;
  if (rdata instanceof Uint8Array || values.length === 0) return { ...record, name, ttl };
  return { ...record, name, ttl, rdata: { ...rdata, names: rdata.names.map((value) => apply(value, values)) } };
}

export function within(ttl: number, bounds: readonly TtlBounds[]): number {
  return bounds.reduce((seconds, { min, max }) => Math.min(max, Math.max(min, seconds)), ttl);
}

function apply(name: string, rewriters: readonly NameRewriter[]): string {
  for (const rewrite of rewriters) name = rewrite(name.toLowerCase()) ?? name;
  return name;
}
