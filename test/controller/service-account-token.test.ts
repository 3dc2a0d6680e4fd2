import t from 'tap';
import type { Secret } from '../../src/api/core-v1.ts';
import { SECRETS, SERVICEACCOUNTS } from '../../src/api/resources.ts';
import { serviceAccount } from '../support/api.ts';
import { controlPlane } from '../support/control-plane.ts';

const secret = (name: string, account: string): Secret => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name, namespace: 'default', annotations: { 'kubernetes.io/service-account.name': account } },
  type: 'kubernetes.io/service-account-token',
});

t.test('a Secret for an account gets its token, and goes with the account', async (t) => {
  const cp = await controlPlane(t, { rootCA: 'the CA' });
  const { client, clock } = cp;
  const account = await client.create(SERVICEACCOUNTS, serviceAccount('robot'));
  await client.create(SECRETS, secret('robot-token', 'robot'));
  await client.create(SECRETS, secret('lost', 'nobody'));
  await clock.run(1e6);
  await t.rejects(client.get(SECRETS, 'default', 'lost'), { code: 404 }, 'nobody to be');
  const made = await client.get(SECRETS, 'default', 'robot-token');
  t.equal(made.metadata.annotations!['kubernetes.io/service-account.uid'], account.metadata.uid);
  const text = (key: string) => Buffer.from(made.data![key]!, 'base64').toString();
  t.same([text('ca.crt'), text('namespace')], ['the CA', 'default']);
  const user = () => cp.server.tokenUser(text('token'));
  t.match(await user(), { name: 'system:serviceaccount:default:robot' });
  await clock.run(1e6);
  t.equal(
    (await client.get(SECRETS, 'default', 'robot-token')).metadata.resourceVersion,
    made.metadata.resourceVersion,
  );
  await client.delete(SERVICEACCOUNTS, 'default', 'robot');
  await clock.run(1e6);
  await t.rejects(client.get(SECRETS, 'default', 'robot-token'), { code: 404 });
  t.equal(await user(), undefined);
  t.same(cp.errors, []);
});
