import t from 'tap';
import { DEFAULT_CONFIG, parseDurationUs, parseKubeProxyConfiguration } from '../../src/proxy/config.ts';
import { fieldWarnings } from '../../src/proxy/config-fields.ts';
import { ipv4 } from '../../src/tcpip-ts/wire/address.ts';

t.test('an empty document is the defaults', (t) => {
  t.same(parseKubeProxyConfiguration({}), DEFAULT_CONFIG);
  t.end();
});

t.test('what a document sets is read', (t) => {
  const config = parseKubeProxyConfiguration({
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    mode: 'ipvs',
    clusterCIDR: '10.0.0.0/8,fd00:10::/64',
    nodePortAddresses: ['192.168.0.0/24', '::/0'],
    iptables: { masqueradeAll: true, masqueradeBit: 15 },
    ipvs: {
      scheduler: 'sh',
      minSyncPeriod: '1s',
      syncPeriod: '1m30s',
      udpTimeout: '10s',
      excludeCIDRs: ['10.1.0.0/16'],
    },
  });
  t.match(config, {
    clusterCIDRs: [
      [ipv4('10.0.0.0'), 8],
      [0xfd000010n << 96n, 64],
    ],
    nodePortAddresses: [
      [ipv4('192.168.0.0'), 24],
      [0n, 0],
    ],
    masqueradeAll: true,
    masqueradeBit: 15,
    ipvs: {
      scheduler: 'sh',
      minSyncPeriodUs: 1e6,
      syncPeriodUs: 90e6,
      udpTimeoutS: 10,
      excludeCIDRs: [[ipv4('10.1.0.0'), 16]],
    },
  });
  t.end();
});

t.test('addresses to listen on: an address alone has the usual port, an empty text is the default', (t) => {
  const of = (healthzBindAddress: string) => parseKubeProxyConfiguration({ healthzBindAddress }).healthzBindAddress;
  t.same(of(''), { host: '0.0.0.0', port: 10256 });
  t.same(of('127.0.0.1'), { host: '127.0.0.1', port: 10256 });
  t.same(of('192.168.49.2:80'), { host: '192.168.49.2', port: 80 });
  t.same(of('[::]:80'), { host: '0.0.0.0', port: 80 });
  t.same(of('[fd00::1]'), { host: 'fd00::1', port: 10256 });
  for (const wrong of ['localhost:80', '1.2.3.4:0', '1.2.3.4:65536', ':80', '1.2.3.4:', '[::1'])
    t.throws(() => of(wrong), {
      message: `KubeProxyConfiguration.healthzBindAddress: expected IP or IP:PORT, not ${wrong}`,
    });
  t.same(parseKubeProxyConfiguration({ metricsBindAddress: '0.0.0.0' }).metricsBindAddress, {
    host: '0.0.0.0',
    port: 10249,
  });
  t.end();
});

t.test('a wrong value is refused with the field and what was expected', (t) => {
  t.throws(() => parseKubeProxyConfiguration({ mode: 'ebpf' }), /mode: expected iptables, ipvs, nftables, not ebpf/);
  t.throws(() => parseKubeProxyConfiguration({ clusterCIDR: 'everywhere' }), /clusterCIDR: expected ADDRESS\/LENGTH/);
  t.throws(
    () => parseKubeProxyConfiguration({ ipvs: { syncPeriod: 'soon' } }),
    /ipvs\.syncPeriod: expected a duration/,
  );
  t.throws(() => parseKubeProxyConfiguration({ ipvs: { scheduler: 7 } }), /ipvs\.scheduler: expected a string/);
  t.throws(() => parseKubeProxyConfiguration('mode: ipvs'), /expected an object/);
  t.end();
});

t.test("durations are Go's", (t) => {
  const cases: [string, number | undefined][] = [
    ['0', 0],
    ['0s', 0],
    ['30s', 30e6],
    ['1h2m3.5s', 3723.5e6],
    ['250ms', 250e3],
    ['.5s1.m', 60.5e6],
    ['2\u00b5s3\u03bcs', 5],
    ['1s 2s', undefined],
    ['-1s', undefined],
    ['.s', undefined],
    ['5', undefined],
    ['', undefined],
  ];
  for (const [text, us] of cases) t.equal(parseDurationUs(text), us, text);
  t.end();
});

t.test('values that cannot be are refused by the name of their field', async (t) => {
  const rows: readonly (readonly [object, string])[] = [
    [{ mode: 'kernelspace' }, 'KubeProxyConfiguration.mode: expected iptables, ipvs, nftables, not kernelspace'],
    [
      { iptables: { masqueradeBit: 32 } },
      'KubeProxyConfiguration.iptables.masqueradeBit: expected a bit from 0 to 31, not 32',
    ],
    [
      { ipvs: { syncPeriod: '1s', minSyncPeriod: '2s' } },
      'KubeProxyConfiguration.ipvs.syncPeriod: must be greater than or equal to minSyncPeriod',
    ],
    [
      { ipvs: { scheduler: 'random' } },
      'KubeProxyConfiguration.ipvs.scheduler: expected rr, wrr, lc, wlc, sed, nq, sh, dh, mh, lblc, lblcr, fo, ovf, twos, not random',
    ],
    [{ ipvs: [] }, 'KubeProxyConfiguration.ipvs: expected an object'],
    [{ clusterCIDR: '10.0.0.0/33' }, 'KubeProxyConfiguration.clusterCIDR: expected ADDRESS/LENGTH, not 10.0.0.0/33'],
    [{ clusterCIDR: '10.0.0.0' }, 'KubeProxyConfiguration.clusterCIDR: expected ADDRESS/LENGTH, not 10.0.0.0'],
    [
      { clusterCIDR: '10.0.0.0/8,172.16.0.0/12' },
      'KubeProxyConfiguration.clusterCIDR: must be one CIDR, or one of each family, such as 10.244.0.0/16,fd00:10:244::/56',
    ],
    [
      { nodePortAddresses: ['192.168.49.0/24', 'primary'] },
      "KubeProxyConfiguration.nodePortAddresses: can't use both 'primary' and CIDRs",
    ],
    [{ bindAddress: 'eth0' }, 'KubeProxyConfiguration.bindAddress: expected an IP address, not eth0'],
    [{ detectLocalMode: 'BridgeInterface' }, 'KubeProxyConfiguration.detectLocal.bridgeInterface: must not be empty'],
    [
      { detectLocalMode: 'InterfaceNamePrefix', detectLocal: { bridgeInterface: 'br0' } },
      'KubeProxyConfiguration.detectLocal.interfaceNamePrefix: must not be empty',
    ],
  ];
  for (const [document, message] of rows)
    t.throws(() => parseKubeProxyConfiguration(document), { name: 'ConfigError', message });
});

t.test('fields that do not exist, or do nothing here, are told of; what kubeadm leaves unset is not', async (t) => {
  const document = {
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    mode: '',
    bindAddress: '0.0.0.0',
    bindAddressHardFail: true,
    clientConnection: { kubeconfig: '', qps: 0 },
    conntrack: { maxPerCore: null, min: null },
    ipvs: { shceduler: 'rr', strictARP: true, tcpTimeout: '0s' },
    winkernel: { enableDSR: false },
    wat: 1,
  };
  t.same(
    fieldWarnings(document).map(({ path, message }) => `${path.join('.')}: ${message}`),
    [
      'bindAddressHardFail: bindAddressHardFail has no effect here',
      'ipvs.shceduler: unknown field "ipvs.shceduler"',
      'ipvs.strictARP: ipvs.strictARP has no effect here',
      'wat: unknown field "wat"',
    ],
  );
});
