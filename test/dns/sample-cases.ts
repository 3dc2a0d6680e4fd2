// The answers of CoreDNS, from other people's tests and the specification, as cases to play: test/fixtures/dns/cases-sample.json
// names the source of each, and in `meta` how answers are compared. DNS_CASES names another file of the same form.
import { readFileSync } from 'node:fs';
import type Tap from 'tap';
import type { KubeObject } from '../../src/api/meta.ts';
import { rcodeText, typeNumber } from '../../src/dns/constants.ts';
import type { DecodedReply } from '../../src/dns/message.ts';
import { rdataText } from '../../src/dns/message.ts';
import { FLAG_AA, FLAG_TC } from '../../src/dns/message-writer.ts';
import type { ResourceRecord } from '../../src/dns/record.ts';
import { readMoreCases } from './more-cases.ts';

export interface ExpectedRecord {
  name: string;
  type: string;
  ttl: number | null;
  rdata: string;
}

export interface Case {
  id: string;
  name: string;
  objects: string;
  objectsAddedFirst?: KubeObject[];
  server: {
    zones: string[];
    pods: string;
    namespaces: string[] | null;
    ttl?: number;
    synced?: boolean;
    ignoreEmptyService?: boolean;
    endpointPodNames?: boolean;
    zonal?: boolean;
    localIPs?: string[];
    upstream?: Record<string, { rcode: string; answer: string[] }>;
    k8sExternal?: { zones: string[]; headless?: boolean };
    autopath?: boolean;
    client?: { namespace: string };
    fallthrough?: string[] | boolean;
  };
  query: { name: string; type: string };
  expect: {
    rcode: string;
    /** Absent: not compared. */
    aa?: boolean;
    tc: boolean;
    answer: ExpectedRecord[];
    authority: ExpectedRecord[] | null;
    additional: ExpectedRecord[] | null;
    answerOrder?: string;
  };
  tags: string[];
}

interface Fixture {
  fixtures: Record<string, KubeObject[]>;
  cases: Case[];
}

// From dist/test/dns to test/fixtures.
const FILE = new URL('../../../test/fixtures/dns/cases-sample.json', import.meta.url);
const given = process.env['DNS_CASES'];
const { fixtures, cases: sample } = JSON.parse(readFileSync(given ?? FILE, 'utf8')) as Fixture;
export const cases: readonly Case[] = given === undefined ? [...sample, ...readMoreCases()] : sample;

/** The configuration a case asks for; what it forwards goes to `upstream`. Own addresses are given with `bind`. */
export function corefileOf({ server }: Case, upstream: string): string {
  const lines = [`pods ${server.pods}`];
  if (server.namespaces) lines.push(`namespaces ${server.namespaces.join(' ')}`);
  if (server.ttl !== undefined) lines.push(`ttl ${server.ttl}`);
  if (server.ignoreEmptyService) lines.push('ignore empty_service');
  if (server.endpointPodNames) lines.push('endpoint_pod_names');
  if (server.zonal) lines.push('zonal');
  if (Array.isArray(server.fallthrough)) lines.push(`fallthrough ${server.fallthrough.join(' ')}`);
  if (server.fallthrough === true) lines.push('fallthrough');
  const plugins = ['errors'];
  if (server.localIPs) plugins.push(`bind ${server.localIPs.join(' ')}`);
  if (server.autopath) plugins.push('autopath @kubernetes');
  if (server.k8sExternal) {
    const { zones, headless } = server.k8sExternal;
    plugins.push(`k8s_external ${zones.join(' ')} {${headless ? '\n headless' : ''}\n }`);
  }
  plugins.push(`kubernetes ${server.zones.join(' ')} {\n ${lines.join('\n ')}\n }`);
  if (server.upstream) plugins.push(`forward . ${upstream} {\n prefer_udp\n }`);
  return `.:53 {\n ${plugins.join('\n ')}\n}\n`;
}

/** The objects a case stands on; for autopath with the client's own Pod, which has `clientAddress`. */
export function objectsOf({ objects, server }: Case, clientAddress: string): KubeObject[] {
  const list = [...fixtures[objects.replace('fixture:', '')]!];
  const { client } = server;
  if (client !== undefined) {
    const metadata = { namespace: client.namespace, name: 'the-client' };
    list.push({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata,
      status: { phase: 'Running', podIP: clientAddress },
    } as KubeObject);
  }
  return list;
}

/** Records the server gave and the case expects, as comparable lines; `*` fields are dropped on both sides. */
function compare(
  given: readonly ResourceRecord[],
  expected: readonly ExpectedRecord[],
  ttl: number,
): { given: string[]; expected: string[] } {
  const open = expected.map((e) => ({ ...e, fields: e.rdata.replaceAll('*MINIMUM*', String(ttl)).split(' ') }));
  const out: { given: string[]; expected: string[] } = { given: [], expected: [] };
  for (const record of given) {
    const fields = rdataText(record)
      .replace(/^"(.*)"$/, '$1')
      .split(' ');
    const at = open.findIndex(
      (e) =>
        e.name === record.name &&
        typeNumber(e.type) === record.type &&
        (e.ttl === null || e.ttl === record.ttl) &&
        e.fields.length === fields.length &&
        e.fields.every((field, i) => field === '*' || field === fields[i]),
    );
    if (at >= 0) open.splice(at, 1);
    else out.given.push(`${record.name} ${record.ttl} ${record.type} ${fields.join(' ')}`);
  }
  out.expected = open.map((e) => `${e.name} ${e.ttl} ${typeNumber(e.type)} ${e.fields.join(' ')}`);
  return out;
}

/** Checks a reply against what its case expects. */
export function check(
  t: Pick<typeof Tap, 'equal' | 'strictSame' | 'ok'>,
  { expect, server }: Case,
  reply: DecodedReply,
): void {
  t.equal(rcodeText(reply.rcode), expect.rcode);
  if (expect.aa !== undefined) t.equal((reply.flags & FLAG_AA) !== 0, expect.aa, 'AA');
  t.equal((reply.flags & FLAG_TC) !== 0, expect.tc, 'TC');
  const ttl = server.ttl ?? 5;
  t.strictSame(compare(reply.answer, expect.answer, ttl), { given: [], expected: [] }, 'answer');
  if (expect.authority)
    t.strictSame(compare(reply.authority, expect.authority, ttl), { given: [], expected: [] }, 'authority');
  if (expect.additional)
    t.strictSame(compare(reply.additional, expect.additional, ttl), { given: [], expected: [] }, 'additional');
  const firstOther = reply.answer.findIndex((record) => record.type !== 5);
  const lastAlias = reply.answer.findLastIndex((record) => record.type === 5);
  t.ok(firstOther < 0 || lastAlias < firstOther, 'CNAMEs come first');
}
