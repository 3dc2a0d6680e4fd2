import t from 'tap';
import { SERVICEACCOUNTS } from '../../../src/api/resources.ts';
import { HttpsApi } from '../../support/https-api.ts';

const ACCOUNT = '/api/v1/namespaces/default/serviceaccounts/robot';

t.test('a service account acts with its token, as long as it exists', async (t) => {
  const https = await HttpsApi.start(t);
  const client = https.api.client();
  const object = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'robot', namespace: 'default' } };
  await client.create(SERVICEACCOUNTS, object);
  const request = { body: { spec: { expirationSeconds: 600 } } };
  const { code, json } = await https.fetch('POST', `${ACCOUNT}/token`, request);
  t.equal(code, 201);
  t.match(json, { kind: 'TokenRequest', status: { expirationTimestamp: /Z$/ } });
  const token = json.status.token as string;
  const claims = JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString());
  t.match(claims, { sub: 'system:serviceaccount:default:robot', iss: /^https:\/\/kubernetes\.default/ });
  t.equal(claims.exp - claims.iat, 600);

  const as = (bearer: string) =>
    https.fetch('GET', ACCOUNT, { anonymous: true, headers: { Authorization: `Bearer ${bearer}` } });
  t.equal((await as(token)).code, 200);
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
  await client.create(SERVICEACCOUNTS, object);
  t.equal((await as(token)).code, 401, 'another account of the same name');
});
