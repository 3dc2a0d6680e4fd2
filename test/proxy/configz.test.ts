// What /configz tells of a configuration.
import t from 'tap';
import { parseDurationUs, parseKubeProxyConfiguration } from '../../src/proxy/config.ts';
import { configz, duration } from '../../src/proxy/configz.ts';

const told = (document: object) =>
  (configz(parseKubeProxyConfiguration(document)) as { 'kubeproxy.config.k8s.io': object })['kubeproxy.config.k8s.io'];

t.test('an empty document is the defaults', async (t) => {
  t.same(told({}), {
    Linux: { MasqueradeAll: false },
    HealthzBindAddress: '0.0.0.0:10256',
    MetricsBindAddress: '127.0.0.1:10249',
    Mode: 'iptables',
    IPTables: { MasqueradeBit: 14, LocalhostNodePorts: true },
    IPVS: { Scheduler: 'rr', ExcludeCIDRs: [], TCPTimeout: '0s', TCPFinTimeout: '0s', UDPTimeout: '0s' },
    NFTables: { MasqueradeBit: 14 },
    DetectLocalMode: 'ClusterCIDR',
    DetectLocal: { BridgeInterface: '', ClusterCIDRs: [], InterfaceNamePrefix: '' },
    NodePortAddresses: [],
    SyncPeriod: '30s',
    MinSyncPeriod: '1s',
  });
});

t.test('what a document says is there, the periods those of the mode', async (t) => {
  const document = {
    mode: 'ipvs',
    clusterCIDR: '10.244.0.0/16,fd00::/48',
    nodePortAddresses: ['192.168.49.0/24', 'fd00::/64'],
    metricsBindAddress: '[fd00::1]:999',
    ipvs: { scheduler: 'mh', syncPeriod: '1h', minSyncPeriod: '1.5s', udpTimeout: '5m', excludeCIDRs: ['10.0.0.0/8'] },
  };
  t.match(told(document), {
    MetricsBindAddress: '[fd00::1]:999',
    Mode: 'ipvs',
    IPVS: { Scheduler: 'mh', ExcludeCIDRs: ['10.0.0.0/8'], UDPTimeout: '5m0s' },
    DetectLocal: { ClusterCIDRs: ['10.244.0.0/16', 'fd00::/48'] },
    NodePortAddresses: ['192.168.49.0/24', 'fd00::/64'],
    SyncPeriod: '1h0m0s',
    MinSyncPeriod: '1.5s',
  });
  t.match(told({ nodePortAddresses: ['primary'] }), { NodePortAddresses: ['primary'] });
});

t.test('a duration is written as Go writes it', async (t) => {
  for (const text of ['0s', '30s', '1m30s', '1h0m0s', '1h0m0.5s', '500ms', '1.5s', '7µs'])
    t.equal(duration(parseDurationUs(text)!), text);
});
