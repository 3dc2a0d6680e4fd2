// The answers of CoreDNS, from other people's tests and the specification: test/fixtures/dns/cases-sample.json names the source
// of each case, and in `meta` how answers are compared.
import { readFileSync } from 'node:fs';
import t from 'tap';
import type { KubeObject } from '../../src/api/meta.ts';
import { rcodeText, typeNumber } from '../../src/dns/constants.ts';
import { rdataText } from '../../src/dns/message.ts';
import { FLAG_AA, FLAG_TC } from '../../src/dns/message-writer.ts';
import type { ResourceRecord } from '../../src/dns/record.ts';
import { fakeUpstream, startDns } from './harness.ts';

interface ExpectedRecord {
  name: string;
  type: string;
  ttl: number | null;
  rdata: string;
}

interface Case {
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
    localIPs?: string[];
    upstream?: Record<string, { rcode: string; answer: string[] }>;
    k8sExternal?: object;
    autopath?: boolean;
    fallthrough?: string[] | boolean;
    zonal?: boolean;
  };
  query: { name: string; type: string };
  expect: {
    rcode: string;
    aa: boolean;
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
const { fixtures, cases } = JSON.parse(readFileSync(process.env['DNS_CASES'] ?? FILE, 'utf8')) as Fixture;

function corefile({ server }: Case): string {
  const lines = [`pods ${server.pods}`];
  if (server.namespaces) lines.push(`namespaces ${server.namespaces.join(' ')}`);
  if (server.ttl !== undefined) lines.push(`ttl ${server.ttl}`);
  if (server.ignoreEmptyService) lines.push('ignore empty_service');
  if (server.endpointPodNames) lines.push('endpoint_pod_names');
  if (Array.isArray(server.fallthrough)) lines.push(`fallthrough ${server.fallthrough.join(' ')}`);
  if (server.fallthrough === true) lines.push('fallthrough');
  const forward = server.upstream ? 'forward . 192.0.2.1' : '';
  return `.:53 {\n errors\n kubernetes ${server.zones.join(' ')} {\n ${lines.join('\n ')}\n }\n ${forward}\n}\n`;
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

/** Why a case cannot pass yet; false when it must. */
function notYet({ server }: Case): string | false {
  if (server.k8sExternal !== undefined) return 'the plugin k8s_external is a later issue';
  if (server.autopath) return 'the plugin autopath is a later issue';
  return server.zonal ? 'the option zonal is a later issue' : false;
}

for (const c of cases) {
  t.test(`${c.id}: ${c.name}`, { skip: notYet(c) }, async (t) => {
    const dns = await startDns({
      corefile: corefile(c),
      objects: [...fixtures[c.objects.replace('fixture:', '')]!, ...(c.objectsAddedFirst ?? [])],
      synced: c.server.synced ?? true,
      ...(c.server.upstream ? { upstream: fakeUpstream(c.server.upstream) } : {}),
      ...(c.server.localIPs ? { localAddresses: c.server.localIPs.filter((ip) => !ip.startsWith('127.')) } : {}),
    });
    const { expect } = c;
    const reply = await dns.ask(c.query.name, c.query.type);
    t.equal(rcodeText(reply.rcode), expect.rcode);
    t.equal((reply.flags & FLAG_AA) !== 0, expect.aa, 'AA');
    t.equal((reply.flags & FLAG_TC) !== 0, expect.tc, 'TC');
    const ttl = c.server.ttl ?? 5;
    t.strictSame(compare(reply.answer, expect.answer, ttl), { given: [], expected: [] }, 'answer');
    if (expect.authority)
      t.strictSame(compare(reply.authority, expect.authority, ttl), { given: [], expected: [] }, 'authority');
    if (expect.additional)
      t.strictSame(compare(reply.additional, expect.additional, ttl), { given: [], expected: [] }, 'additional');
    const firstOther = reply.answer.findIndex((record) => record.type !== 5);
    const lastAlias = reply.answer.findLastIndex((record) => record.type === 5);
    t.ok(firstOther < 0 || lastAlias < firstOther, 'CNAMEs come first');
    await dns.stop();
  });
}
