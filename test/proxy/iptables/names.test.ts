// Names and probabilities against values that appear in upstream's tests (test/fixtures/proxy-flows.json, `names`).
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { chainHash } from '../../../src/proxy/chain-hash.ts';
import { endpointName } from '../../../src/proxy/endpoints.ts';
import { endpointChain, isServiceChain, probabilityText, serviceChains } from '../../../src/proxy/iptables/names.ts';
import { type ServicePort, servicePortName } from '../../../src/proxy/service-port.ts';
import { ipv4 } from '../../../src/tcpip-ts/wire/address.ts';
import { type IpAddress, parseIpAddress } from '../../../src/tcpip-ts/wire/ip-address.ts';
import { IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP } from '../../../src/tcpip-ts/wire/ipv4.ts';

interface Names {
  readonly iptables: { readonly rows: readonly (readonly [string, string, string | null, string])[] };
  readonly probability: { readonly rows: readonly (readonly [number, string])[] };
}

const { names } = JSON.parse(
  readFileSync(join(import.meta.dirname, '../../../../test/fixtures/proxy-flows.json'), 'utf8'),
) as { names: Names };

t.test('chain names are the real ones', (t) => {
  for (const [port, protocol, endpoint, hash] of names.iptables.rows)
    t.equal(chainHash(`${port}${protocol}${endpoint ?? ''}`), hash, `${port} ${protocol} ${endpoint ?? ''}`);
  t.end();
});

t.test('of all protocols, of ports with and without names, of endpoints of both families', (t) => {
  // Hashes were taken with another program.
  const chains = (portName: string, proto: number) =>
    serviceChains({ service: 'ns1/svc1', portName, proto } as ServicePort);
  t.same(chains('', IPPROTO_TCP), {
    svc: 'KUBE-SVC-AQI2S6QIMU7PVVRP',
    svl: 'KUBE-SVL-AQI2S6QIMU7PVVRP',
    ext: 'KUBE-EXT-AQI2S6QIMU7PVVRP',
    fw: 'KUBE-FW-AQI2S6QIMU7PVVRP',
  });
  t.equal(chains('', IPPROTO_UDP).svc, 'KUBE-SVC-A2PEVXD55OHK2IVW');
  t.equal(chains('', IPPROTO_SCTP).svc, 'KUBE-SVC-XEX64ODZFKX54AW6');
  t.equal(chains('http-alt', IPPROTO_UDP).svc, 'KUBE-SVC-XUKLQDQLBVFY2AOH');
  const sep = (portName: string, proto: number, addr: IpAddress, port: number): string =>
    endpointChain({ service: 'ns1/svc1', portName, proto } as ServicePort, endpointName({ addr, port }));
  t.equal(sep('', IPPROTO_TCP, ipv4('10.180.0.1'), 80), 'KUBE-SEP-RD5U5EMOXIC4RU5H');
  t.equal(sep('dns', IPPROTO_UDP, ipv4('10.180.0.1'), 53), 'KUBE-SEP-WKRC27AOPMEXEDZA');
  t.equal(sep('p', IPPROTO_SCTP, parseIpAddress('fd00:10:180::1')!, 3868), 'KUBE-SEP-Q2CEYATGMACUIWHO');
  t.end();
});

t.test('a port without a name has no colon', (t) => {
  t.equal(servicePortName({ service: 'ns1/svc1', portName: '' }), 'ns1/svc1');
  t.equal(servicePortName({ service: 'ns1/svc1', portName: 'p80' }), 'ns1/svc1:p80');
  t.end();
});

t.test('probabilities have ten decimals', (t) => {
  for (const [left, text] of names.probability.rows) t.equal(probabilityText(left), text, `1 in ${left}`);
  t.end();
});

t.test('chains of service ports are told from others', (t) => {
  for (const name of ['KUBE-SVC-X', 'KUBE-SVL-X', 'KUBE-EXT-X', 'KUBE-FW-X', 'KUBE-SEP-X']) t.ok(isServiceChain(name));
  for (const name of ['KUBE-SERVICES', 'KUBE-FIREWALL', 'KUBE-FORWARD', 'PREROUTING']) t.notOk(isServiceChain(name));
  t.end();
});
