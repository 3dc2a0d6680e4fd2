import { constants } from 'node:os';
import t from 'tap';
import * as errno from '../../src/tcpip-ts/errno.ts';

t.test('the numbers are those of Linux', async (t) => {
  const numbers = Object.entries(errno).filter(([, value]) => typeof value === 'number');
  t.ok(numbers.length > 15);
  for (const [name, value] of numbers) {
    t.equal(value, constants.errno[name as keyof typeof constants.errno], name);
    t.equal(errno.errnoName(value as number), name);
    t.equal(errno.errnoName(-(value as number)), name);
  }
  t.equal(errno.errnoName(999), 'errno 999');
});

t.test('errors are worded as node words them', async (t) => {
  t.match(errno.socketError(-errno.ECONNREFUSED, 'connect', '10.0.0.1', 80), {
    message: 'connect ECONNREFUSED 10.0.0.1:80',
    code: 'ECONNREFUSED',
    errno: -111,
    syscall: 'connect',
    address: '10.0.0.1',
    port: 80,
  });
  const reset = errno.socketError(errno.ECONNRESET, 'read');
  t.equal(reset.message, 'read ECONNRESET');
  t.notOk('address' in reset);
});
