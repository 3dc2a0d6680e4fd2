import t from 'tap';
import { parse, stringify } from 'yaml';
import { kubeconfig } from '../../../src/apiserver/auth/kubeconfig.ts';

const PARTS = {
  name: 'podwire',
  server: 'https://127.0.0.1:6443',
  authority: 'CA',
  client: { certificate: 'CERT', key: 'KEY' },
};

t.test('a new kubeconfig has one cluster, which is current', async (t) => {
  t.same(parse(kubeconfig(PARTS)), {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name: 'podwire',
        cluster: { server: PARTS.server, 'certificate-authority-data': Buffer.from('CA').toString('base64') },
      },
    ],
    users: [
      {
        name: 'podwire',
        user: {
          'client-certificate-data': Buffer.from('CERT').toString('base64'),
          'client-key-data': Buffer.from('KEY').toString('base64'),
        },
      },
    ],
    contexts: [{ name: 'podwire', context: { cluster: 'podwire', user: 'podwire' } }],
    'current-context': 'podwire',
  });
});

t.test('what a kubeconfig says of other clusters stays; an earlier podwire is replaced', async (t) => {
  const work = {
    apiVersion: 'v1',
    kind: 'Config',
    preferences: { colors: true },
    clusters: [{ name: 'work', cluster: { server: 'https://work' } }],
    users: [{ name: 'kubernetes-admin', user: { token: 'precious' } }],
    contexts: [{ name: 'work', context: { cluster: 'work', user: 'kubernetes-admin' } }],
    'current-context': 'work',
  };
  const once = kubeconfig({ ...PARTS, server: 'https://old' }, stringify(work));
  const config = parse(kubeconfig(PARTS, once));
  t.match(config, { preferences: { colors: true }, 'current-context': 'podwire' });
  for (const list of ['clusters', 'users', 'contexts'] as const) {
    t.equal(config[list].length, 2, list);
    t.same(config[list][0], work[list][0]);
    t.equal(config[list][1].name, 'podwire');
  }
  t.equal(config.clusters[1].cluster.server, PARTS.server);
});

t.test('an empty one is begun, and so is what kubectl leaves of one; what is none is refused', async (t) => {
  for (const empty of [
    '',
    '# nothing\n',
    'apiVersion: v1\nkind: Config\nclusters: null\nusers: null\ncontexts: null\n',
  ]) {
    t.equal(parse(kubeconfig(PARTS, empty)).clusters.length, 1);
  }
  for (const other of ['hello', '[1]', 'kind: Pod\n', 'clusters: 1\n']) {
    t.throws(() => kubeconfig(PARTS, other), { message: 'not a kubeconfig' }, other);
  }
});
