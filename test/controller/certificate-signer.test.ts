import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { Pkcs10CertificateRequestGenerator } from '@peculiar/x509';
import t from 'tap';
import { type CertificateSigningRequest, CLIENT_SIGNER } from '../../src/api/certificates-v1.ts';
import { CERTIFICATESIGNINGREQUESTS } from '../../src/api/resources.ts';
import { CertificateAuthority } from '../../src/apiserver/auth/certificates.ts';
import { refused } from '../support/api.ts';
import { controlPlane } from '../support/control-plane.ts';
import { eventually } from '../support/podwire.ts';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const keys = (await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair;
const csr = await Pkcs10CertificateRequestGenerator.create({ name: 'CN=carol', keys, signingAlgorithm: algorithm });
const base64 = (text: string) => Buffer.from(text).toString('base64');

function request(name: string, spec: Partial<CertificateSigningRequest['spec']> = {}): CertificateSigningRequest {
  return {
    apiVersion: 'certificates.k8s.io/v1',
    kind: 'CertificateSigningRequest',
    metadata: { name },
    spec: { request: base64(csr.toString('pem')), signerName: CLIENT_SIGNER, usages: ['client auth'], ...spec },
  };
}

t.test('approved requests are signed, unsound ones fail, the others wait', async (t) => {
  const authority = await CertificateAuthority.create('kubernetes', Date.now());
  const cp = await controlPlane(t, { signClient: (pem, seconds) => authority.signClient(pem, seconds, Date.now()) });
  const { client } = cp;
  const approve = async (name: string) => {
    const found = await client.get(CERTIFICATESIGNINGREQUESTS, undefined, name);
    const conditions = [{ type: 'Approved', status: 'True', reason: 'Test' }];
    await client.update(CERTIFICATESIGNINGREQUESTS, { ...found, status: { conditions } }, 'approval');
  };
  const made = await client.create(CERTIFICATESIGNINGREQUESTS, request('good', { username: 'somebody else' }));
  t.match(made.spec, { username: 'system:admin', groups: ['system:masters', 'system:authenticated'] });
  await client.create(CERTIFICATESIGNINGREQUESTS, request('server', { usages: ['server auth'] }));
  await client.create(CERTIFICATESIGNINGREQUESTS, request('waiting'));
  await client.create(CERTIFICATESIGNINGREQUESTS, request('foreign', { signerName: 'example.com/x' }));
  for (const name of ['good', 'server', 'foreign']) await approve(name);
  // Signing takes its time outside the virtual clock.
  await eventually('it is signed', async () => {
    await cp.clock.run(10_000);
    const { status } = await client.get(CERTIFICATESIGNINGREQUESTS, undefined, 'good');
    return status?.certificate !== undefined;
  });
  await cp.clock.run(1e6);
  const status = async (name: string) => (await client.get(CERTIFICATESIGNINGREQUESTS, undefined, name)).status;
  t.match(Buffer.from((await status('good'))!.certificate!, 'base64').toString(), /^-----BEGIN CERTIFICATE-----\n/);
  t.match((await status('server'))!.conditions, [
    { type: 'Approved', lastUpdateTime: /Z$/ },
    { type: 'Failed', message: 'invalid usages for client certificate: server auth' },
  ]);
  t.same(await status('waiting'), {});
  t.equal((await status('foreign'))!.certificate, undefined, 'not ours to sign');
  t.same(cp.errors, []);
});

t.test('requests are checked, and stay what they are', async (t) => {
  const { client } = await controlPlane(t);
  const create = (spec: Partial<CertificateSigningRequest['spec']>) =>
    client.create(CERTIFICATESIGNINGREQUESTS, request('r', spec));
  const invalid = (what: string) => `CertificateSigningRequest.certificates.k8s.io "r" is invalid: ${what}`;
  await refused(t, create({ usages: [] }), 422, invalid('spec.usages: Required value'));
  await refused(
    t,
    create({ request: base64('nonsense') }),
    422,
    invalid(`spec.request: Invalid value: "${base64('nonsense')}": PEM block type must be CERTIFICATE REQUEST`),
  );
  await refused(
    t,
    create({ expirationSeconds: 60 }),
    422,
    invalid('spec.expirationSeconds: Invalid value: 60: may not specify a duration less than 600 seconds (10 minutes)'),
  );
  await create({});
  const patch = { spec: { usages: ['any'] }, status: { certificate: base64('mine') } };
  const changed = await client.patch(CERTIFICATESIGNINGREQUESTS, undefined, 'r', 'merge', patch);
  t.same([changed.spec.usages, changed.status], [['client auth'], {}]);
});
