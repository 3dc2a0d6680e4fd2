// Rows of kube-proxy's own TestCategorizeEndpoints (reference/proxy-flows-sample.json, group categorizeEndpoints).
import { existsSync, readFileSync } from 'node:fs';
import t from 'tap';
import type { Endpoint } from '../../src/proxy/endpoints.ts';
import { endpointName } from '../../src/proxy/endpoints.ts';
import { servicePortsOf } from '../../src/proxy/service-port.ts';
import { categorizeEndpoints } from '../../src/proxy/topology.ts';
import { ipv4 } from '../../src/tcpip-ts/wire/address.ts';
import { service } from '../support/services.ts';

interface Row {
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
    readonly cluster: readonly string[] | null;
    readonly local: readonly string[] | null;
    readonly all: readonly string[];
    readonly hasAnyEndpoints: boolean;
  };
}

const root = import.meta.url.replace(/\/(dist[^/]*\/)?test\/proxy\/[^/]*$/, '/');
const fixture = new URL('test/fixtures/categorize-endpoints.json', root);
const { rows } = JSON.parse(readFileSync(fixture, 'utf8')) as { rows: Row[] };
const reference = new URL('../shared/reference/proxy-flows-sample.json', root);

for (const row of rows) {
  t.test(row.name, (t) => {
    const [port] = servicePortsOf(
      service('svc', {
        clusterIP: '10.96.0.1',
        ports: [{ port: 80, ...(row.externallyAccessible ? { nodePort: 30080 } : {}) }],
        type: row.externallyAccessible ? 'NodePort' : 'ClusterIP',
        internalTrafficPolicy: row.internalTrafficPolicy,
        externalTrafficPolicy: row.externalTrafficPolicy,
      }),
    ).values();
    const endpoints = row.endpoints.map(({ endpoint, zoneHints, nodeHints, ...state }): Endpoint => {
      const [addr, portText] = endpoint.split(':') as [string, string];
      return {
        ...state,
        addr: ipv4(addr),
        port: Number(portText),
        zoneHints: zoneHints ?? [],
        nodeHints: nodeHints ?? [],
      };
    });
    const got = categorizeEndpoints(endpoints, port!, { nodeName: row.nodeName ?? 'node-1', zone: row.nodeZone ?? '' });
    const names = (list: readonly Endpoint[] | null) => (list ? list.map(endpointName).sort() : null);
    t.same(names(got.cluster), row.expect.cluster, 'cluster');
    t.same(names(got.local), row.expect.local, 'local');
    t.same(names(got.reachable), row.expect.all, 'all');
    t.equal(got.hasAny, row.expect.hasAnyEndpoints, 'has any');
    t.end();
  });
}

t.test('the fixture is the published sample', { skip: !existsSync(reference) && 'the reference is not here' }, (t) => {
  const all = JSON.parse(readFileSync(reference, 'utf8')) as { categorizeEndpoints: { rows: Row[] } };
  t.same(rows, all.categorizeEndpoints.rows);
  t.end();
});
