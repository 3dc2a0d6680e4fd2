import { createPublicKey, verify } from 'node:crypto';
import t from 'tap';
import { PODS, SERVICEACCOUNTS } from '../../../src/api/resources.ts';
import { pod } from '../../support/api.ts';
import { HttpsApi } from '../../support/https-api.ts';

const ACCOUNT = '/api/v1/namespaces/default/serviceaccounts/robot';
const WHOAMI = '/apis/authentication.k8s.io/v1/selfsubjectreviews';
const ROBOT = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'robot', namespace: 'default' } };

t.test('a service account acts with its token, as long as it exists', async (t) => {
  const https = await HttpsApi.start(t);
  const client = https.api.client();
  await client.create(SERVICEACCOUNTS, ROBOT);
  const request = { body: { spec: { expirationSeconds: 600 } } };
  const { code, json } = await https.fetch('POST', `${ACCOUNT}/token`, request);
  t.equal(code, 201);
  t.match(json, { kind: 'TokenRequest', status: { expirationTimestamp: /Z$/ } });
  const token = json.status.token as string;
  const claims = JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString());
  t.match(claims, { sub: 'system:serviceaccount:default:robot', iss: /^https:\/\/kubernetes\.default/ });
  t.equal(claims.exp - claims.iat, 600);

  const as = (bearer: string) => https.fetch('POST', WHOAMI, { token: bearer, body: {} });
  t.match((await as(token)).json.status.userInfo, {
    username: 'system:serviceaccount:default:robot',
    groups: ['system:serviceaccounts', 'system:serviceaccounts:default', 'system:authenticated'],
    extra: { 'authentication.kubernetes.io/credential-id': [`JTI=${claims.jti}`] },
  });
  const [header, payload, signature] = token.split('.') as [string, string, string];
  const forged = Buffer.from(JSON.stringify({ ...claims, exp: claims.exp + 1 })).toString('base64url');
  const none = Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url');
  for (const wrong of [
    `${header}.${forged}.${signature}`,
    `${none}.${payload}.`,
    `${none}.${payload}.${signature}`,
    `${token}x.y`,
    'a',
    '..',
  ]) {
    t.equal((await as(wrong)).code, 401, wrong.slice(0, 20));
  }
  const foreign = await https.fetch('POST', `${ACCOUNT}/token`, { body: { spec: { audiences: ['vault'] } } });
  t.equal((await as(foreign.json.status.token)).code, 401, 'a token for somebody else');
  t.match(await https.fetch('POST', `${ACCOUNT}/token`, { body: { spec: { expirationSeconds: 5 } } }), { code: 422 });

  await client.delete(SERVICEACCOUNTS, 'default', 'robot');
  await client.create(SERVICEACCOUNTS, ROBOT);
  t.equal((await as(token)).code, 401, 'another account of the same name');
});

t.test('others can check a token by the published keys', async (t) => {
  const https = await HttpsApi.start(t);
  const config = (await https.fetch('GET', '/.well-known/openid-configuration')).json;
  const { pathname } = new URL(config.jwks_uri);
  const keys = await https.fetch('GET', pathname);
  t.equal(keys.headers['content-type'], 'application/jwk-set+json');
  const { token } = (await https.api.client().createToken('default', 'default', {})).status;
  const [header, payload, signature] = token.split('.') as [string, string, string];
  const decode = (part: string) => JSON.parse(Buffer.from(part, 'base64url').toString());
  t.equal(decode(payload).iss, config.issuer);
  const jwk = keys.json.keys.find((key: { kid: string }) => key.kid === decode(header).kid);
  const key = { key: createPublicKey({ key: jwk, format: 'jwk' }), dsaEncoding: 'ieee-p1363' as const };
  t.ok(verify('sha256', Buffer.from(`${header}.${payload}`), key, Buffer.from(signature, 'base64url')));
  t.equal((await https.fetch('GET', pathname, { token })).code, 200, 'a service account may read them');
  t.equal((await https.fetch('GET', pathname, { anonymous: true })).code, 403);
});

t.test('a token that is bound to a Pod says so, and ends with it', async (t) => {
  const https = await HttpsApi.start(t);
  const client = https.api.client();
  await client.create(SERVICEACCOUNTS, ROBOT);
  const { metadata } = await client.create(PODS, pod('web', { serviceAccountName: 'robot' }));
  const bind = (name: string, more: object = {}) =>
    https.fetch('POST', `${ACCOUNT}/token`, {
      body: { spec: { expirationSeconds: 3607, boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name, ...more } } },
    });
  const { json } = await bind('web', { uid: metadata.uid });
  const { token } = json.status;
  const claims = JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString());
  t.equal(claims.exp - claims.iat, 365 * 24 * 3600, 'a Pod that reads its token once is given time');
  t.equal(claims['kubernetes.io'].warnafter - claims.iat, 3607);
  const whoami = () => https.fetch('POST', WHOAMI, { token, body: {} });
  t.match((await whoami()).json.status.userInfo.extra, {
    'authentication.kubernetes.io/pod-name': ['web'],
    'authentication.kubernetes.io/pod-uid': [metadata.uid],
  });
  t.match(await bind('nobody'), { code: 404, json: { message: 'pods "nobody" not found' } });
  t.match(await bind('web', { uid: 'x' }), { code: 409, json: { message: /does not match the UID in record/ } });
  t.match(await bind('web', { kind: 'Service' }), {
    code: 400,
    json: { message: 'cannot bind token to object of type /v1, Kind=Service' },
  });
  await client.create(PODS, pod('other'));
  t.match(await bind('other'), {
    code: 400,
    json: { message: /^cannot bind token for serviceaccount "robot" to pod/ },
  });
  await client.delete(PODS, 'default', 'web', { gracePeriodSeconds: 0 });
  t.equal((await whoami()).code, 401);
});
