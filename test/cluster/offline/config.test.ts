// A KubeProxyConfiguration among manifests: what is wrong with it is told with its place in the file.
import t from 'tap';
import { configOf, readObjects } from '../../../src/cluster/offline/objects.ts';
import { OfflineNode } from '../../../src/cluster/offline/offline-node.ts';

const TEXT = `apiVersion: v1
kind: ServiceAccount
metadata: {name: x}
---
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: ipvs
ipvs:
  scheduler: rr
  shceduler: sh
  udpTimeout: soon
`;

t.test(
  'a value that cannot be is an error, a field that is none a warning, both with file, line and column',
  async (t) => {
    const objects = readObjects([{ name: 'proxy.yml', text: TEXT }]);
    t.same(objects.warnings, ['proxy.yml:10:3: unknown field "ipvs.shceduler"']);
    t.throws(() => new OfflineNode(objects), {
      name: 'ManifestError',
      message: 'proxy.yml:11:3: KubeProxyConfiguration.ipvs.udpTimeout: expected a duration such as 30s, not soon',
    });
  },
);

const CONFIG_MAP = `apiVersion: v1
kind: ConfigMap
metadata: {namespace: kube-system, name: kube-proxy}
data:
  config.conf: |
    apiVersion: kubeproxy.config.k8s.io/v1alpha1
    kind: KubeProxyConfiguration
    mode: nftables
    clusterCIDRs: 10.0.0.0/8
`;

t.test("a cluster's own ConfigMap is read, unless there is a document of its own", async (t) => {
  const modeOf = (...texts: string[]): unknown => {
    const objects = readObjects(texts.map((text, i) => ({ name: `${i}.yml`, text })));
    return configOf(objects, undefined).mode;
  };
  t.equal(modeOf(CONFIG_MAP), 'nftables');
  t.equal(modeOf(CONFIG_MAP, TEXT.replace('soon', '5m')), 'ipvs');
  t.equal(modeOf(CONFIG_MAP.replace('kube-system', 'other')), 'ipvs', "another namespace's is none");
  t.same(readObjects([{ name: 'all.yml', text: CONFIG_MAP }]).warnings, [
    'all.yml: ConfigMap kube-proxy: config.conf:4:1: unknown field "clusterCIDRs"',
  ]);
});
