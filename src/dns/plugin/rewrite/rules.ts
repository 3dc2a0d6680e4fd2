// The rules of the plugin rewrite: a name in, another name out, and what is done to the names in the reply (CoreDNS
// plugin/rewrite/name.go). Names are absolute and in lower case.
import type { ResourceRecord } from '../../record.ts';

export type NameRewriter = (name: string) => string | undefined;

export interface NameRule {
  /** Whether the rules after it have their turn when it has matched. */
  readonly continues: boolean;
  /** The new name; undefined: the rule does not match. */
  readonly rewrite: NameRewriter;
  /** Owners equal to the new name go out as the one that was asked for. */
  readonly auto: boolean;
  /** Rewriters of owners, and of the names in records. */
  readonly owners: readonly NameRewriter[];
  readonly values: readonly NameRewriter[];
}

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

/** A record with its names as the rules want them. */
export function rewriteRecord(
  record: ResourceRecord,
  owners: readonly NameRewriter[],
  values: readonly NameRewriter[],
): ResourceRecord {
  const name = apply(record.name, owners);
  const { rdata } = record;
  if (rdata instanceof Uint8Array || values.length === 0) return name === record.name ? record : { ...record, name };
  return { ...record, name, rdata: { ...rdata, names: rdata.names.map((value) => apply(value, values)) } };
}

function apply(name: string, rewriters: readonly NameRewriter[]): string {
  for (const rewrite of rewriters) name = rewrite(name.toLowerCase()) ?? name;
  return name;
}
