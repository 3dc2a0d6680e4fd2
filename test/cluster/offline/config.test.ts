// A KubeProxyConfiguration among manifests: what is wrong with it is told with its place in the file.
import t from 'tap';
import { readObjects } from '../../../src/cluster/offline/objects.ts';
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
