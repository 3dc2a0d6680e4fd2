// The real kubectl and who may do what: create role..., auth can-i, whoami, reconcile, --as, tokens.
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Pkcs10CertificateRequestGenerator } from '@peculiar/x509';
import t from 'tap';
import { Kubectl, needsKubectl } from '../support/kubectl.ts';
import { eventually, Podwire } from '../support/podwire.ts';

if (needsKubectl(t)) {
  t.test('kubectl and access', async (t) => {
    const podwire = new Podwire(t);
    await podwire.up(t, '--runtime', 'userspace', '--listen', '127.0.0.1:0');
    const kubectl = new Kubectl(podwire);
    const says = kubectl.says.bind(kubectl);

    await t.test('roles and bindings are made and shown', async (t) => {
      const made = {
        'create role reader --verb=get,list --resource=pods,deployments.apps': 'role.rbac.authorization.k8s.io/reader',
        'create clusterrole metrics --verb=get --non-resource-url=/metrics':
          'clusterrole.rbac.authorization.k8s.io/metrics',
        'create clusterrole agg --aggregation-rule=a=b': 'clusterrole.rbac.authorization.k8s.io/agg',
        'create rolebinding readers --role=reader --user=ann --group=g --serviceaccount=default:sa':
          'rolebinding.rbac.authorization.k8s.io/readers',
        'create clusterrolebinding scrape --clusterrole=metrics --user=ann':
          'clusterrolebinding.rbac.authorization.k8s.io/scrape',
        'create rolebinding editors --clusterrole=edit --user=ed': 'rolebinding.rbac.authorization.k8s.io/editors',
      };
      for (const [line, name] of Object.entries(made)) await says(t, line, `${name} created\n`);
      await says(t, 'get role', /^NAME +CREATED AT\nreader +\d{4}-\d\d-\d\dT[\d:]+Z\n$/);
      await says(
        t,
        'get rolebindings readers -o wide',
        /^NAME +ROLE +AGE +USERS +GROUPS +SERVICEACCOUNTS\nreaders +Role\/reader +[\dhms]+ +ann +g +default\/sa\n$/,
      );
      await says(t, 'describe role reader', /\n +pods +\[\] +\[\] +\[get list\]\n +deployments\.apps +\[\]/);
      await says(t, 'get clusterroles cluster-admin admin edit view -o name', /\nclusterrole\.[^\n]+\/admin\n/);
      await says(t, 'delete clusterrole agg', /^clusterrole\.rbac\.authorization\.k8s\.io "agg" deleted/);
    });

    await t.test('can-i tells what would be allowed, and the requests agree', async (t) => {
      await says(t, 'auth can-i list pods --as ann', 'yes\n');
      await says(t, 'auth can-i delete pods --as ann', 'no\n', 1);
      await says(t, 'auth can-i list pods -A --as ann', 'no\n', 1);
      await says(t, 'auth can-i get /metrics --as ann', 'yes\n');
      await says(t, 'auth can-i create pods/exec --as ed', 'yes\n');
      await says(t, 'auth can-i create roles --as ed', 'no\n', 1);
      await says(t, 'auth can-i list pods --as nobody --as-group g', 'yes\n');
      await says(t, 'auth can-i * *', 'yes\n');
      const list = await says(
        t,
        'auth can-i --list --as ann',
        /^Resources +Non-Resource URLs +Resource Names +Verbs\n/,
      );
      t.match(list, /\npods +\[\] +\[\] +\[get list\]\n/);
      t.match(list, /\n +\[\/metrics\] +\[\] +\[get\]\n/);
      await says(t, 'get pods --as ann', 'No resources found in default namespace.\n');
      await says(
        t,
        'get svc --as ann',
        'Error from server (Forbidden): services is forbidden: User "ann" cannot list resource "services" in API group "" in the namespace "default"\n',
        1,
      );
      await says(
        t,
        'create rolebinding mine --clusterrole=view --user=ed --as ed',
        /rolebindings\.rbac\.authorization\.k8s\.io is forbidden: User "ed" cannot create/,
        1,
      );
      await eventually('edit is filled in', async () => (await kubectl.run('create configmap c1 --as ed')).code === 0);
    });

    await t.test('reconcile adds what is missing', async (t) => {
      const role = (verbs: string) =>
        `apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: reader, namespace: default}\nrules:\n- {apiGroups: [""], resources: [pods], verbs: [${verbs}]}\n`;
      const result = await kubectl.args(['auth', 'reconcile', '-f', '-'], role('get, watch'));
      t.equal(result.stdout, 'role.rbac.authorization.k8s.io/reader reconciled\n');
      t.match(result.stderr, /reconciliation required update/);
      await says(t, 'auth can-i watch pods --as ann', 'yes\n');
      await says(t, 'auth can-i list pods --as ann', 'yes\n');
    });

    await t.test('quotas and limits hold', async (t) => {
      await says(t, 'create ns small', 'namespace/small created\n');
      await says(t, 'create quota q --hard=pods=1,limits.cpu=1 -n small', 'resourcequota/q created\n');
      const range =
        'apiVersion: v1\nkind: LimitRange\nmetadata: {name: l, namespace: small}\nspec: {limits: [{type: Container, default: {cpu: 500m}}]}\n';
      t.equal((await kubectl.args(['create', '-f', '-'], range)).stdout, 'limitrange/l created\n');
      await eventually('the quota is counted', async () => {
        const { stdout } = await kubectl.run('get quota -n small');
        return /^NAME +REQUEST +LIMIT +AGE\nq +pods: 0\/1 +limits\.cpu: 0\/1 +[\dhms]+\n$/.test(stdout);
      });
      await says(t, 'run a --image=nginx -n small', 'pod/a created\n');
      await says(
        t,
        'run b --image=nginx -n small',
        'Error from server (Forbidden): pods "b" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1\n',
        1,
      );
      await says(
        t,
        'describe quota q -n small',
        /Resource +Used +Hard\n-+ +-+ +-+\nlimits\.cpu +500m +1\npods +1 +1\n/,
      );
      await says(t, 'describe limits l -n small', /Container +cpu +- +- +500m +500m +-\n/);
    });

    await t.test('a Node keeps its Lease', async (t) => {
      await says(t, 'get leases -n kube-node-lease', /^NAME +HOLDER +AGE\nnode-1 +node-1 +[\dhms]+\n$/);
      await says(
        t,
        'describe node node-1',
        /Lease:\n +HolderIdentity: +node-1\n +AcquireTime: +<unset>\n +RenewTime: +\w/,
      );
    });

    await t.test('a certificate is asked for, approved, issued and good', async (t) => {
      const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
      const keys = (await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair;
      const ask = async (name: string, subject: string) => {
        const csr = await Pkcs10CertificateRequestGenerator.create({
          name: subject,
          keys,
          signingAlgorithm: algorithm,
        });
        const request = {
          apiVersion: 'certificates.k8s.io/v1',
          kind: 'CertificateSigningRequest',
          metadata: { name },
          spec: {
            request: Buffer.from(csr.toString('pem')).toString('base64'),
            signerName: 'kubernetes.io/kube-apiserver-client',
            expirationSeconds: 86400,
            usages: ['client auth'],
          },
        };
        return await kubectl.args(['create', '-f', '-'], JSON.stringify(request));
      };
      t.equal(
        (await ask('carol', 'CN=carol, O=devs')).stdout,
        'certificatesigningrequest.certificates.k8s.io/carol created\n',
      );
      const row = (state: string) =>
        new RegExp(`\\ncarol +\\d+s +kubernetes\\.io/kube-apiserver-client +kubernetes-admin +24h +${state}\\n$`);
      await says(t, 'get csr', row('Pending'));
      await says(
        t,
        'certificate approve carol --as ann',
        /"carol" is forbidden: User "ann" cannot (get|patch|update)/,
        1,
      );
      await says(t, 'certificate approve carol', 'certificatesigningrequest.certificates.k8s.io/carol approved\n');
      await eventually('it is issued', async () => row('Approved,Issued').test((await kubectl.run('get csr')).stdout));
      const { stdout } = await kubectl.run('get csr carol -o jsonpath={.status.certificate}');
      const key = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
      const pem = Buffer.from(`-----BEGIN PRIVATE KEY-----\n${key}\n-----END PRIVATE KEY-----\n`).toString('base64');
      const carol = kubectl.withCredential(`client-certificate-data: ${stdout}\n      client-key-data: ${pem}`);
      t.match((await carol.run('auth whoami')).stdout, /Username +carol\nGroups +\[devs system:authenticated\]\n/);
      t.match(
        (await ask('root', 'CN=root, O=system:masters')).stderr,
        /signer with system:masters group is not allowed/,
      );
      t.equal((await ask('dave', 'CN=dave')).code, 0);
      await says(t, 'certificate deny dave', 'certificatesigningrequest.certificates.k8s.io/dave denied\n');
      await says(t, 'get csr dave', / Denied\n$/);
    });

    await t.test('a userspace Pod talks to https://kubernetes with its own token', async (t) => {
      await says(t, 'run box --image=ubuntu -- sleep 600', 'pod/box created\n');
      await says(t, 'wait --for=condition=Ready pod/box --timeout=90s', /condition met/);
      const at = '/var/run/secrets/kubernetes.io/serviceaccount';
      const curl = (path: string) => {
        const command = `curl -sS --cacert ${at}/ca.crt -H "Authorization: Bearer $(cat ${at}/token)" https://kubernetes${path}`;
        return kubectl.args(['exec', 'box', '--', 'sh', '-c', command]);
      };
      const api = await curl('/api');
      t.match(api.stdout, '"kind": "APIVersions"', api.stderr);
      const who = 'User \\"system:serviceaccount:default:default\\" cannot list resource \\"pods\\"';
      t.match((await curl('/api/v1/namespaces/default/pods')).stdout, who);
      await says(t, 'create rolebinding v --clusterrole=view --serviceaccount=default:default', /created/);
      const pods = JSON.parse((await curl('/api/v1/namespaces/default/pods')).stdout);
      t.match(pods, { kind: 'PodList', items: [{ metadata: { name: 'box' } }] });
    });

    await t.test('who one is', async (t) => {
      const admin = await says(
        t,
        'auth whoami',
        /Username +kubernetes-admin\nGroups +\[system:masters system:authenticated\]\n/,
      );
      t.match(admin, /Extra: authentication\.kubernetes\.io\/credential-id +\[X509SHA256=[0-9a-f]{64}\]\n/);
      await says(t, 'create serviceaccount sa', 'serviceaccount/sa created\n');
      const token = (await says(t, 'create token sa', /^[\w-]+\.[\w-]+\.[\w-]+$/)).trim();
      const robot = kubectl.withToken(token);
      t.match((await robot.run('auth whoami')).stdout, /Username +system:serviceaccount:default:sa\n/);
      t.equal((await robot.run('get pods -o name')).stdout, 'pod/box\n');
      t.match(
        (await robot.run('get nodes')).stderr,
        /User "system:serviceaccount:default:sa" cannot list resource "nodes"/,
      );
      const wrong = await kubectl.withToken('nonsense').run('get pods');
      t.match(wrong.stderr, /You must be logged in to the server/);
    });
  });

  t.test('keys and tokens outlive a restart with --store', async (t) => {
    const podwire = new Podwire(t);
    const store = join(t.testdir({ 'tokens.csv': 'sesame,ann,1,"devs,ops"\n' }), 'store');
    const tokens = join(store, '../tokens.csv');
    const start = () =>
      podwire.up(
        t,
        ...['--runtime', 'userspace', '--listen', '127.0.0.1:0', '--store', store, '--token-auth-file', tokens],
      );
    await start();
    const kubectl = new Kubectl(podwire);
    const token = (await kubectl.run('create token default --duration=1h')).stdout.trim();
    t.match(
      (await kubectl.withToken('sesame').run('auth whoami')).stdout,
      /Username +ann\n.*UID +1\nGroups +\[devs ops /s,
    );
    const kubeconfig = readFileSync(join(podwire.dir, 'kubeconfig'), 'utf8');
    for (const name of ['ca.crt', 'ca.key', 'sa.key']) {
      t.equal(statSync(join(store, 'pki', name)).mode & 0o777, 0o600, `${name} is its owner's only`);
    }
    await podwire.run('down');
    await eventually('the cluster is gone', () => podwire.leftovers().length === 0);

    await start();
    const after = await new Kubectl(podwire).withToken(token).run('auth whoami');
    t.match(after.stdout, /Username +system:serviceaccount:default:default\n/, after.stderr);
    const address = /server: (\S+)/;
    const server = address.exec(readFileSync(join(podwire.dir, 'kubeconfig'), 'utf8'))![0];
    const dir = t.testdir({ kubeconfig: kubeconfig.replace(address, server) });
    const old = await new Kubectl({ dir }).run('auth whoami');
    t.match(old.stdout, /Username +kubernetes-admin\n/, `the kubeconfig of before: ${old.stderr}`);

    const bad = await podwire.run('up', '--token-auth-file', '/dev/null/x');
    t.match([bad.code, bad.stderr], [1, /\/dev\/null\/x/]);
  });
}
