// Rows of kube-proxy's own TestCategorizeEndpoints, asked of the function; test/cluster/offline/endpoint-choice.test.ts asks flows.
import t from 'tap';
import type { Endpoint } from '../../src/proxy/endpoints.ts';
import { endpointName } from '../../src/proxy/endpoints.ts';
import { servicePortsOf } from '../../src/proxy/service-port.ts';
import { categorizeEndpoints } from '../../src/proxy/topology.ts';
import { ipv4 } from '../../src/tcpip-ts/wire/address.ts';
import { ENDPOINT_ROWS } from '../support/endpoint-rows.ts';
import { service } from '../support/services.ts';

for (const row of ENDPOINT_ROWS) {
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
