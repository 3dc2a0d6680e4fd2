import t from 'tap';
import type { Pod } from '../../../src/api/core-v1.ts';
import { formatResolvConf, parseResolvConf, podHosts, podResolvConf } from '../../../src/node/kubelet/resolv-conf.ts';

const settings = {
  clusterDNS: '10.96.0.10',
  clusterDomain: 'cluster.local',
  host: { nameservers: ['192.0.2.1'], searches: ['example.net'], options: ['timeout:1'] },
};

function pod(spec: Partial<Pod['spec']> = {}): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'jump', namespace: 'dev' },
    spec: { containers: [], ...spec },
  };
}

const text = (p: Pod, host = settings.host): string => formatResolvConf(podResolvConf(p, { ...settings, host }));

t.test('the default is the cluster DNS, the three search domains and ndots:5', async (t) => {
  const bare = { nameservers: [], searches: [], options: [] };
  t.equal(
    text(pod(), bare),
    'nameserver 10.96.0.10\nsearch dev.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n',
    'to the letter of the seed',
  );
  t.match(
    text(pod()),
    'search dev.svc.cluster.local svc.cluster.local cluster.local example.net\n',
    "the host's search list is appended",
  );
  t.notMatch(text(pod()), 'timeout', "the host's options are not");
});

t.test('dnsPolicy picks the base', async (t) => {
  t.equal(text(pod({ dnsPolicy: 'Default' })), 'nameserver 192.0.2.1\nsearch example.net\noptions timeout:1\n');
  t.equal(
    text(pod({ hostNetwork: true })),
    text(pod({ dnsPolicy: 'Default' })),
    'ClusterFirst on the host network is Default',
  );
  t.match(text(pod({ hostNetwork: true, dnsPolicy: 'ClusterFirstWithHostNet' })), 'nameserver 10.96.0.10');
  t.equal(text(pod({ dnsPolicy: 'None' })), '');
});

t.test('dnsConfig is merged: lists appended without duplicates, options by name', async (t) => {
  const conf = podResolvConf(
    pod({
      dnsConfig: {
        nameservers: ['10.96.0.10', '198.51.100.1'],
        searches: ['cluster.local', 'my.domain'],
        options: [{ name: 'ndots', value: '2' }, { name: 'edns0' }],
      },
    }),
    settings,
  );
  t.same(conf.nameservers, ['10.96.0.10', '198.51.100.1']);
  t.same(conf.searches, ['dev.svc.cluster.local', 'svc.cluster.local', 'cluster.local', 'example.net', 'my.domain']);
  t.same(conf.options, ['ndots:2', 'edns0']);
});

t.test('limits cut from the end', async (t) => {
  const many = podResolvConf(
    pod({
      dnsConfig: {
        nameservers: ['192.0.2.2', '192.0.2.3', '192.0.2.4'],
        searches: Array.from({ length: 40 }, (_, i) => `d${i}.example`),
      },
    }),
    settings,
  );
  t.equal(many.nameservers.length, 3);
  t.equal(many.searches.length, 32);
  t.match(many.omitted, [
    /^Search Line limits were exceeded, some search paths have been omitted, the applied search line is: dev\.svc\.\S+ .* d\d+\.example$/,
    'Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: 10.96.0.10 192.0.2.2 192.0.2.3',
  ]);
  t.same(podResolvConf(pod({}), settings).omitted, []);
  const long = podResolvConf(
    pod({ dnsConfig: { searches: Array.from({ length: 20 }, (_, i) => `${i}${'x'.repeat(200)}.example`) } }),
    settings,
  );
  t.ok(long.searches.join(' ').length <= 2048);
});

t.test('resolv.conf is read back', async (t) => {
  t.same(parseResolvConf('# a comment\nnameserver 192.0.2.1 ; x\nsearch a b\nsearch c\noptions ndots:2 edns0\n'), {
    nameservers: ['192.0.2.1'],
    searches: ['c'],
    options: ['ndots:2', 'edns0'],
  });
});

t.test('the hosts file names the Pod, with its domain when it has a subdomain', async (t) => {
  t.match(
    podHosts(pod(), '10.244.0.5', 'jump', 'cluster.local'),
    /^# Kubernetes-managed hosts file\.\n127\.0\.0\.1\tlocalhost\n[\s\S]*\n10\.244\.0\.5\tjump\n$/,
  );
  t.match(
    podHosts(
      pod({ subdomain: 'sub', hostAliases: [{ ip: '192.0.2.9', hostnames: ['a', 'b'] }] }),
      '10.244.0.5',
      'jump',
      'cluster.local',
    ),
    /\n10\.244\.0\.5\tjump\.sub\.dev\.svc\.cluster\.local\tjump\n\n# Entries added by HostAliases\.\n192\.0\.2\.9\ta\tb\n$/,
  );
});
