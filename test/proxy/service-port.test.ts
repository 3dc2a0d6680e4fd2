// What kube-proxy makes of a Service, after newBaseServiceInfo() of pkg/proxy/serviceport.go.
import t from 'tap';
import type { Service, ServiceSpec } from '../../src/api/core-v1.ts';
import { type ServicePort, servicePortsOf } from '../../src/proxy/service-port.ts';
import { formatIpAddress, formatIpPrefix } from '../../src/tcpip-ts/wire/ip-address.ts';
import { service } from '../support/services.ts';

const PORTS = [{ name: 'p', port: 80 }];

function only(made: Service): ServicePort {
  return [...servicePortsOf(made).values()][0]!;
}

function ofSpec(spec: ServiceSpec, ingress: readonly string[] = []): ServicePort {
  return only(service('web', { clusterIP: '10.96.0.10', ports: PORTS, ...spec }, ingress));
}

t.test("addresses in the status are the load balancer's, whatever the type; not those in mode Proxy", (t) => {
  for (const type of ['LoadBalancer', 'NodePort', 'ClusterIP'] as const)
    t.same(ofSpec({ type }, ['1.2.3.4', '2001:db8::1']).loadBalancerIPs.map(formatIpAddress), ['1.2.3.4'], type);
  const made = service('web', { clusterIP: '10.96.0.10', ports: PORTS, type: 'LoadBalancer' });
  const proxied = { ip: '1.2.3.4', ipMode: 'Proxy' } as const;
  const vip = { ip: '1.2.3.5', ipMode: 'VIP' } as const;
  const ingress = [proxied, vip, { hostname: 'lb.example' }];
  const { loadBalancerIPs } = only({ ...made, status: { loadBalancer: { ingress } } });
  t.same(loadBalancerIPs.map(formatIpAddress), ['1.2.3.5']);
  t.end();
});

t.test('source ranges: padding and host bits are forgiven; what is no range of the family is left out', (t) => {
  const loadBalancerSourceRanges = [' 203.0.113.0/25', '198.51.100.9/24', '192.0.2.7', 'fd00::/64', 'bogus', ''];
  const { sourceRanges } = ofSpec({ loadBalancerSourceRanges });
  t.same(sourceRanges.map(formatIpPrefix), ['203.0.113.0/25', '198.51.100.0/24']);
  t.end();
});

t.test('a Service that is not proxied has no ports', (t) => {
  const none = (spec: ServiceSpec): void => {
    t.equal(servicePortsOf(service('web', { ports: PORTS, ...spec })).size, 0);
  };
  none({ clusterIP: 'None' });
  none({});
  none({ clusterIP: 'fd00::1' });
  none({ clusterIP: '10.96.0.10', type: 'ExternalName' });
  none({ clusterIP: '10.96.0.10', ports: [{ port: 80, protocol: 'QUIC' as 'TCP' }] });
  t.end();
});

t.test('the external policy counts only where there is anything external', (t) => {
  t.equal(ofSpec({ externalTrafficPolicy: 'Local' }).externalPolicyLocal, false);
  t.equal(ofSpec({ externalTrafficPolicy: 'Local', externalIPs: ['1.2.3.4'] }).externalPolicyLocal, true);
  t.equal(ofSpec({ externalTrafficPolicy: 'Local', externalIPs: ['fd00::1'] }).externalPolicyLocal, true);
  t.equal(ofSpec({ externalTrafficPolicy: 'Local', type: 'NodePort' }).externalPolicyLocal, true);
  const checked = { externalTrafficPolicy: 'Local', healthCheckNodePort: 30_000 } as const;
  t.equal(ofSpec({ ...checked, type: 'NodePort' }).healthCheckNodePort, 0, "a health check is a load balancer's");
  t.equal(ofSpec({ ...checked, type: 'LoadBalancer' }).healthCheckNodePort, 30_000);
  t.end();
});
