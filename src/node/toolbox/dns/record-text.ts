// Resource records as BIND's tools write them (lib/dns/masterdump.c): zone-file text, columns filled with tabs, spaces where a
// column has been passed.
import type { Answer } from './client.ts';

export interface RecordColumns {
  readonly ttl: boolean;
  readonly class: boolean;
}

/** Where TTL, class, type and data begin, as dig.c chooses its style. */
function columns({ ttl, class: withClass }: RecordColumns): readonly [number, number, number, number] {
  if (ttl && withClass) return [24, 32, 40, 48];
  return ttl || withClass ? [24, withClass ? 24 : 32, 32, 40] : [24, 24, 24, 32];
}

/** Joins texts so that each begins at its column, or one blank after the text before it (masterdump.c's indent). */
function layOut(cells: readonly (readonly [number, string])[]): string {
  let line = '';
  let at = 0;
  for (const [column, text] of cells) {
    if (at > 0) {
      const to = Math.max(column, at + 1);
      const tabs = Math.floor(to / 8) - Math.floor(at / 8);
      line += '\t'.repeat(tabs) + ' '.repeat(tabs > 0 ? to % 8 : to - at);
      at = to;
    }
    line += text;
    at += text.length;
  }
  return line;
}

export function recordLine(answer: Answer, shown: RecordColumns = { ttl: true, class: true }): string {
  const { ttl = 0, class: klass = 'IN' } = answer as { ttl?: number; class?: string };
  const [ttlAt, classAt, typeAt, dataAt] = columns(shown);
  return layOut([
    [0, dotted(answer.name)],
    ...(shown.ttl ? [[ttlAt, String(ttl)] as const] : []),
    ...(shown.class ? [[classAt, klass] as const] : []),
    [typeAt, answer.type],
    [dataAt, rdata(answer)],
  ]);
}

/** `;ent.dev.svc.cluster.local.	IN	A`; the semicolon takes no column. */
export function questionLine(name: string, klass: string, type: string, shown: RecordColumns): string {
  const [, classAt, typeAt] = columns(shown);
  return `;${layOut([[0, dotted(name)], ...(shown.class ? [[classAt, klass] as const] : []), [typeAt, type]])}`;
}

export function dotted(name: string): string {
  return name.endsWith('.') ? name : `${name}.`;
}

/** What follows the type. */
export function rdata(answer: Answer): string {
  switch (answer.type) {
    case 'A':
    case 'AAAA':
      return answer.data;
    case 'SRV': {
      const { priority = 0, weight = 0, port, target } = answer.data;
      return `${priority} ${weight} ${port} ${dotted(target)}`;
    }
    case 'SOA': {
      const { mname, rname, serial, refresh, retry, expire, minimum } = answer.data;
      return `${dotted(mname)} ${dotted(rname)} ${serial} ${refresh} ${retry} ${expire} ${minimum}`;
    }
    case 'TXT':
      return [answer.data]
        .flat()
        .map((text) => `"${text.toString().replaceAll(/["\\]/g, '\\$&')}"`)
        .join(' ');
    case 'CNAME':
    case 'DNAME':
    case 'NS':
    case 'PTR':
      return dotted(answer.data);
    case 'MX':
      return `${answer.data.preference} ${dotted(answer.data.exchange)}`;
    default: {
      // RFC 3597's form for what nobody knows.
      const data: unknown = 'data' in answer ? answer.data : undefined;
      return Buffer.isBuffer(data) ? `\\# ${data.length} ${data.toString('hex').toUpperCase()}` : '';
    }
  }
}
