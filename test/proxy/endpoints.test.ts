import t from 'tap';
import { EndpointSliceCache, endpointName } from '../../src/proxy/endpoints.ts';
import { servicePortsOf } from '../../src/proxy/service-port.ts';
import { ipv4 } from '../../src/tcpip-ts/wire/address.ts';
import { endpointSlice, NODE_NAME, ready, service } from '../support/services.ts';

t.test('slices of one Service are merged, overlaps kept once, the local one of two', (t) => {
  const cache = new EndpointSliceCache(NODE_NAME);
  const ports = [{ name: 'http', port: 8080 }];
  const a = endpointSlice('web', ports, [ready('10.0.0.2', 'far'), ready('10.0.0.10', 'far')]);
  const b = endpointSlice('web', ports, [ready('10.0.0.2')]);
  b.metadata.name = 'web-other';
  t.equal(cache.update(a, false), 'default/web');
  cache.update(b, false);
  const merged = cache.endpointsOf('default/web').get('default/web:http/6')!;
  t.match(
    merged.map((e) => [endpointName(e), e.local]),
    [
      ['10.0.0.10:8080', false],
      ['10.0.0.2:8080', true],
    ],
  );
  cache.update(b, true);
  t.equal(cache.endpointsOf('default/web').get('default/web:http/6')![1]!.local, false);
  t.end();
});

t.test('conditions that are not set are what kube-proxy takes them for', (t) => {
  const cache = new EndpointSliceCache(NODE_NAME);
  cache.update(
    endpointSlice(
      'web',
      [{ port: 80 }],
      [
        { addresses: ['10.0.0.1'] },
        { addresses: ['10.0.0.2'], conditions: { ready: false } },
        { addresses: ['10.0.0.3'], conditions: { ready: false, terminating: true } },
      ],
    ),
    false,
  );
  t.match(cache.endpointsOf('default/web').get('default/web:/6'), [
    { ready: true, serving: true, terminating: false, local: false },
    { ready: false, serving: true, terminating: false },
    { ready: false, serving: true, terminating: true },
  ]);
  t.end();
});

t.test('headless, ExternalName and IPv6 Services are not proxied; of two families the IPv4 address is', (t) => {
  const ports = [{ port: 80 }];
  t.equal(servicePortsOf(service('a', { clusterIP: 'None', ports })).size, 0);
  t.equal(servicePortsOf(service('a', { type: 'ExternalName', externalName: 'x.example', ports })).size, 0);
  t.equal(servicePortsOf(service('a', { clusterIP: 'fd00::1', ports })).size, 0);
  const [port] = servicePortsOf(
    service('a', { clusterIP: 'fd00::1', clusterIPs: ['fd00::1', '10.96.0.1'], ports }),
  ).values();
  t.equal(port!.clusterIP, ipv4('10.96.0.1'));
  t.end();
});

t.test('octets with leading zeros are decimal', (t) => {
  const [port] = servicePortsOf(service('a', { clusterIP: '010.096.000.001', ports: [{ port: 80 }] })).values();
  t.equal(port!.clusterIP, ipv4('10.96.0.1'));
  t.end();
});
