// Reads test/fixtures/dns/more-cases.txt: cases of CoreDNS's behaviour as questions and answers in zone-file text. Its head tells
// the form. They stand on the objects of the sample and are checked like it (sample-cases.ts).
import { readFileSync } from 'node:fs';
import type { Case, ExpectedRecord } from './sample-cases.ts';

// From dist/test/dns to test/fixtures.
const FILE = new URL('../../../test/fixtures/dns/more-cases.txt', import.meta.url);
const ENCLOSING_ZONE = { NODATA: 'NOERROR', NXDOMAIN: 'NXDOMAIN' } as const;

export function readMoreCases(): Case[] {
  const cases: Case[] = [];
  let server: Case['server'] | undefined;
  let fixture = '';
  let current: Case | undefined;
  let line = 0;
  for (const text of readFileSync(FILE, 'utf8').split('\n')) {
    line++;
    if (text === '' || text.startsWith('#')) continue;
    if (text.startsWith('@ ')) {
      const [name, ...options] = text.slice(2).split(' ');
      fixture = name!;
      server = serverOf(options);
    } else if (text.startsWith('> ')) {
      const [name, type, rcode, ...answer] = text.slice(2).split(' ');
      server!.upstream = { ...server!.upstream, [`${name} ${type}`]: { rcode: rcode!, answer: [answer.join(' ')] } };
    } else if (text.startsWith('  ')) {
      addRecord(current!, text.trim());
    } else {
      cases.push((current = caseOf(`more-${line}`, fixture, server!, text)));
    }
  }
  return cases;
}

function serverOf(options: readonly string[]): Case['server'] {
  const given = new Map(options.map((option) => option.split('=') as [string, string | undefined]));
  const list = (key: string): string[] | undefined => given.get(key)?.split(',');
  const external = list('k8sExternal');
  const client = given.get('client');
  const through = given.has('fallthrough') ? (list('fallthrough') ?? true) : undefined;
  return {
    zones: list('zones') ?? ['cluster.local.'],
    pods: given.get('pods') ?? 'disabled',
    namespaces: list('namespaces') ?? null,
    synced: !given.has('unsynced'),
    ignoreEmptyService: given.has('ignoreEmptyService'),
    endpointPodNames: given.has('endpointPodNames'),
    zonal: given.has('zonal'),
    ...(given.has('ttl') && { ttl: Number(given.get('ttl')) }),
    ...(list('localIPs') && { localIPs: list('localIPs')! }),
    ...(external && { k8sExternal: { zones: external, headless: given.has('headless') } }),
    ...(given.has('autopath') && { autopath: true }),
    ...(client !== undefined && { client: { namespace: client } }),
    ...(through !== undefined && { fallthrough: through }),
  };
}

function caseOf(id: string, fixture: string, server: Case['server'], text: string): Case {
  const [name, type, word = 'NOERROR'] = text.split(' ') as [string, string, string?];
  const isNegative = word === 'NODATA' || word === 'NXDOMAIN';
  const failed = word === 'SERVFAIL' || word === 'REFUSED';
  return {
    id,
    name: text,
    objects: `fixture:${fixture}`,
    server,
    query: { name, type },
    expect: {
      rcode: word === 'EMPTY' ? 'NOERROR' : isNegative ? ENCLOSING_ZONE[word] : word,
      // What comes from the upstream may have the bit or not.
      ...(server.fallthrough === undefined && !server.autopath && { aa: !failed }),
      tc: false,
      answer: [],
      authority: isNegative && server.k8sExternal === undefined ? [soaOf(server, name)] : [],
      additional: [],
    },
    tags: ['more'],
  };
}

/** The SOA of the zone the name lies in, spelled as asked. */
function soaOf(server: Case['server'], name: string): ExpectedRecord {
  const { ttl = 5 } = server;
  const zones = server.zones.filter((zone) => zone === '.' || name.toLowerCase().endsWith(zone));
  const longest = zones.reduce((a, b) => (b.length > a.length ? b : a), '');
  // Zones given as CIDRs are those of the ends of octets here.
  const zone = longest === '' ? name.split('.').slice(1).join('.') : name.slice(name.length - longest.length);
  const suffix = zone === '.' ? '.' : `.${zone}`;
  const rdata = `ns.dns${suffix} hostmaster${suffix} * 7200 1800 86400 *MINIMUM*`;
  return { name: zone, type: 'SOA', ttl: Math.min(ttl, 300), rdata };
}

function addRecord({ expect, query }: Case, text: string): void {
  const words = text.split(' ');
  const section = words[0] === '+' ? expect.additional! : words[0] === '!' ? expect.authority! : expect.answer;
  if (section !== expect.answer) words.shift();
  const [owner, ttl, type, ...rdata] = words as [string, string, string, ...string[]];
  const name = owner === '=' ? query.name : owner;
  section.push({ name, ttl: ttl === '*' ? null : Number(ttl), type, rdata: rdata.join(' ') });
  if (section === expect.authority && expect.rcode === 'SERVFAIL') expect.aa = true;
}
