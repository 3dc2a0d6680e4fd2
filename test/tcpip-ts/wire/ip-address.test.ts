import t from 'tap';
import {
  formatHostPort,
  formatIpAddress,
  isInPrefix,
  isLinkLocal,
  isLoopback,
  parseIpAddress,
  parseIpPrefix,
} from '../../../src/tcpip-ts/wire/ip-address.ts';
import { fc } from '../../support/property.ts';

t.test('IPv6 text is read in any form and written as RFC 5952 says', async (t) => {
  const rows: readonly (readonly [string, string])[] = [
    ['2001:DB8::0001', '2001:db8::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['::', '::'],
    ['::1', '::1'],
    ['fd00::', 'fd00::'],
    ['::ffff:192.0.2.1', '::ffff:c000:201'],
  ];
  for (const [text, canonical] of rows) t.equal(formatIpAddress(parseIpAddress(text)!), canonical);
  for (const text of ['', ':', '1::2::3', 'fe80::1%eth0', '12345::', '1:2:3:4:5:6:7', '10.0.0', '256.0.0.1', 'x'])
    t.equal(parseIpAddress(text), undefined, text);
});

t.test('what is written is read back', async () => {
  fc.assert(
    fc.property(
      fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }),
      (addr) => parseIpAddress(formatIpAddress(addr)) === addr,
    ),
  );
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 0xffffffff }), (addr) => parseIpAddress(formatIpAddress(addr)) === addr),
  );
});

t.test('a prefix holds its own addresses, of its own family', async (t) => {
  const prefix = parseIpPrefix('fd00:10::5/64')!;
  t.equal(formatIpAddress(prefix[0]), 'fd00:10::');
  t.ok(isInPrefix(prefix, parseIpAddress('fd00:10::ffff:1')));
  t.notOk(isInPrefix(prefix, parseIpAddress('fd00:10:0:1::1')));
  t.notOk(isInPrefix(parseIpPrefix('::/0')!, parseIpAddress('10.0.0.1')));
  t.ok(isInPrefix(parseIpPrefix('0.0.0.0/0')!, parseIpAddress('10.0.0.1')));
  for (const text of ['10.0.0.0/33', 'fd00::/129', 'fd00::/', '10.0.0.0/8/8', '/8'])
    t.equal(parseIpPrefix(text), undefined, text);
});

t.test('scopes, and hosts with ports', async (t) => {
  t.ok(isLoopback(1n));
  t.ok(isLoopback(0x7f000002));
  t.ok(isLinkLocal(parseIpAddress('fe80::1')!));
  t.notOk(isLinkLocal(parseIpAddress('fec0::1')!));
  t.equal(formatHostPort(parseIpAddress('fd00::1')!, 80), '[fd00::1]:80');
  t.equal(formatHostPort(parseIpAddress('10.0.0.1')!, '*'), '10.0.0.1:*');
});
