// Names and probabilities against values that appear in upstream's tests (test/fixtures/proxy-flows.json, `names`).
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { chainHash, isServiceChain, probabilityText, servicePortName } from '../../../src/proxy/iptables/names.ts';

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
