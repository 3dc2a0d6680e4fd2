// Which endpoints a Node may use, as rows: those of the sample (test/fixtures/categorize-endpoints.json) and the other situations of
// kube-proxy's TestCategorizeEndpoints (pkg/proxy/topology_test.go, v1.34), in short.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface EndpointRow {
  readonly name: string;
  readonly nodeZone: string | null;
  readonly nodeName?: string;
  readonly internalTrafficPolicy: 'Cluster' | 'Local';
  readonly externalTrafficPolicy: 'Cluster' | 'Local';
  readonly externallyAccessible: boolean;
  readonly endpoints: readonly {
    readonly endpoint: string;
    readonly ready: boolean;
    readonly serving: boolean;
    readonly terminating: boolean;
    readonly local: boolean;
    readonly zoneHints: readonly string[] | null;
    readonly nodeHints?: readonly string[] | null;
  }[];
  readonly expect: {
    /** Null: the Service never uses that policy. */
    readonly cluster: readonly string[] | null;
    readonly local: readonly string[] | null;
    readonly all: readonly string[];
    readonly hasAnyEndpoints: boolean;
  };
}

/** Endpoints as `STATE[@] [zone=a,b] [node=x]`, one address after another; `@`: on this Node. */
type Endpoint = `${'ready' | 'draining' | 'unready' | 'dead'}${'@' | ''}${string}`;
/** `c`, `l`, `all`: indices of endpoints; `-`: never used. */
type Row = readonly [
  name: string,
  policies: string,
  endpoints: readonly Endpoint[],
  c: string,
  l: string,
  all: string,
  any: boolean,
];

// Policies: internal/external, Cluster or Local; `in`: not to be reached from outside.
const MORE: readonly Row[] = [
  ['no endpoints at all', 'C/C', [], '', '-', '', false],
  ['iTP Local, no endpoints', 'L/C in', [], '-', '', '', false],
  ['eTP Local, no endpoints', 'C/L', [], '', '', '', false],
  [
    'one endpoint without a zone hint',
    'C/C',
    ['ready zone=a', 'ready zone=b', 'ready', 'ready zone=a'],
    '0123',
    '-',
    '0123',
    true,
  ],
  ['no hint for this zone', 'C/C', ['ready zone=b', 'ready zone=c'], '01', '-', '01', true],
  ['only unready ones in this zone', 'C/C', ['unready zone=a', 'ready zone=b', 'ready zone=c'], '12', '-', '12', true],
  [
    'an unready one without hints is no reason to ignore them',
    'C/C',
    ['ready zone=a', 'ready zone=b', 'unready'],
    '0',
    '-',
    '0',
    true,
  ],
  [
    'zone hints do not hold for eTP Local',
    'C/L',
    ['ready@ zone=a', 'ready@ zone=b', 'ready zone=c', 'ready zone=a'],
    '03',
    '01',
    '013',
    true,
  ],
  [
    'zone hints do not hold for iTP Local',
    'L/C',
    ['ready@ zone=a', 'ready@ zone=b', 'ready zone=c', 'ready zone=a'],
    '03',
    '01',
    '013',
    true,
  ],
  ['same node', 'C/C', ['ready zone=a node=here', 'ready zone=b node=n2', 'ready zone=a node=n3'], '0', '-', '0', true],
  [
    'same node, one without a node hint: the zone',
    'C/C',
    ['ready zone=a node=here', 'ready zone=b', 'ready zone=a'],
    '02',
    '-',
    '02',
    true,
  ],
  [
    'same node, one without any hint: all',
    'C/C',
    ['ready zone=a node=here', 'ready', 'ready zone=c node=n3'],
    '012',
    '-',
    '012',
    true,
  ],
  [
    'nobody is meant for this node: the zone',
    'C/C',
    ['ready zone=a node=n1', 'ready zone=b node=n2', 'ready zone=a node=n3'],
    '02',
    '-',
    '02',
    true,
  ],
  ['all draining', 'C/C', ['draining@', 'draining'], '01', '-', '01', true],
  ['all draining, hints or not', 'C/C', ['draining zone=a', 'draining zone=b'], '01', '-', '01', true],
  ['all dead', 'C/C', ['dead@', 'dead'], '', '-', '', false],
  ['one ready: the draining ones are left alone', 'C/C', ['ready', 'draining@', 'dead'], '0', '-', '0', true],
  ['iTP Local, all here', 'L/C in', ['ready@', 'ready@'], '-', '01', '01', true],
  ['iTP Local, one here', 'L/C in', ['ready@', 'ready'], '-', '0', '0', true],
  ['iTP Local, one here that drains, another ready elsewhere', 'L/C in', ['draining@', 'ready'], '-', '0', '0', true],
  ['iTP Local, one dead here', 'L/C in', ['dead@', 'ready'], '-', '', '', true],
  ['iTP Local, everything dead', 'L/C in', ['dead@', 'unready'], '-', '', '', false],
  ['eTP Local, one here', 'C/L', ['ready@', 'ready'], '01', '0', '01', true],
  ['both Local, one here', 'L/L', ['ready@', 'ready'], '01', '0', '01', true],
  ['both Local, all elsewhere and draining', 'L/L', ['draining', 'draining'], '01', '', '01', true],
  [
    'eTP Local, draining here and elsewhere, one ready',
    'C/L',
    ['ready', 'unready@', 'draining@', 'draining'],
    '0',
    '2',
    '02',
    true,
  ],
  ['eTP Local, ready and draining here', 'C/L', ['ready@', 'draining@', 'ready'], '02', '0', '02', true],
  ['eTP Local, only draining ones, here and elsewhere', 'C/L', ['draining@', 'draining'], '01', '0', '01', true],
];

const fixture = join(import.meta.dirname, '../../../test/fixtures/categorize-endpoints.json');
const SAMPLE_ROWS = (JSON.parse(readFileSync(fixture, 'utf8')) as { rows: EndpointRow[] }).rows;

export const ENDPOINT_ROWS: readonly EndpointRow[] = [...SAMPLE_ROWS, ...MORE.map(written)];

function written([name, policies, endpoints, cluster, local, all, hasAnyEndpoints]: Row): EndpointRow {
  const names = (indices: string): string[] => [...indices].map((i) => address(Number(i)));
  const policy = (letter: string): 'Cluster' | 'Local' => (letter === 'L' ? 'Local' : 'Cluster');
  return {
    name,
    nodeZone: 'a',
    nodeName: 'here',
    internalTrafficPolicy: policy(policies[0]!),
    externalTrafficPolicy: policy(policies[2]!),
    externallyAccessible: !policies.endsWith(' in'),
    endpoints: endpoints.map((text, i) => {
      const [state = '', ...hints] = text.split(' ');
      const hint = (kind: string): string[] =>
        hints
          .find((h) => h.startsWith(kind))
          ?.slice(kind.length)
          .split(',') ?? [];
      return {
        endpoint: address(i),
        ready: state.startsWith('ready'),
        serving: state.startsWith('ready') || state.startsWith('draining'),
        terminating: state.startsWith('draining') || state.startsWith('dead'),
        local: state.endsWith('@'),
        zoneHints: hint('zone='),
        nodeHints: hint('node='),
      };
    }),
    expect: {
      cluster: cluster === '-' ? null : names(cluster),
      local: local === '-' ? null : names(local),
      all: names(all),
      hasAnyEndpoints,
    },
  };
}

function address(i: number): string {
  return `10.180.0.${i + 1}:80`;
}
