import { MessageChannel } from 'node:worker_threads';
import t, { type Test } from 'tap';
import { StatusError } from '../../src/api/status-error.ts';
import { type Handler, Rpc } from '../../src/cluster/rpc.ts';

function pair(t: Test, handlers: Record<string, Handler>): Rpc {
  const { port1, port2 } = new MessageChannel();
  t.teardown(() => port1.close());
  new Rpc(port2, handlers);
  return new Rpc(port1, {});
}

t.test('a call returns what the far side returned', async (t) => {
  const rpc = pair(t, { double: async (n) => (n as number) * 2 });
  const results = await Promise.all([1, 2, 3].map((n) => rpc.call('double', n).result));
  t.same(results, [2, 4, 6]);
});

t.test('an error crosses with its message', async (t) => {
  const rpc = pair(t, {
    fail: async () => {
      throw new StatusError('NotFound', 404, 'pods "x" not found');
    },
  });
  await t.rejects(rpc.call('fail', null).result, { message: 'pods "x" not found' });
  await t.rejects(rpc.call('nothing', null).result, { message: 'no such call: nothing' });
});

t.test('messages go both ways while the call is open, early ones are kept', async (t) => {
  const rpc = pair(t, {
    talk: async (_params, call) => {
      call.send('hello');
      return new Promise((resolve) => call.onMessage((m) => resolve(`got ${m}`)));
    },
  });
  const call = rpc.call('talk', null);
  call.send('early');
  t.equal(await call.result, 'got early');
  const heard: unknown[] = [];
  call.onMessage((m) => heard.push(m));
  t.same(heard, ['hello'], 'given to a listener that came late');
});

t.test('when the far side is gone every call rejects', async (t) => {
  const rpc = pair(t, { hang: () => new Promise(() => {}) });
  const call = rpc.call('hang', null);
  rpc.fail(new Error('gone'));
  await t.rejects(call.result, { message: 'gone' });
  await t.rejects(rpc.call('hang', null).result, { message: 'gone' });
});
