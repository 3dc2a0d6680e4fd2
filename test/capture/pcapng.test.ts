import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { LINKTYPE_ETHERNET, LINKTYPE_RAW, PcapngWriter } from '../../src/capture/pcapng.ts';
import { ipv4 } from '../../src/tcpip-ts/wire/address.ts';
import { canRun } from '../support/netns.ts';

const STAMP = 1_767_225_600_123_456_789n;

function sample(): Uint8Array {
  const writer = new PcapngWriter();
  writer.section('podwire', 'a test');
  writer.interface(LINKTYPE_ETHERNET, 'dev/jump', 'veth01 on node-1');
  writer.interface(LINKTYPE_RAW, 'local', 'local on node-1');
  writer.names([
    [ipv4('10.244.0.5'), 'jump.dev.pod'],
    [ipv4('10.96.0.10'), 'kube-dns.kube-system.svc'],
  ]);
  for (const length of [60, 61, 62, 63]) {
    const at = writer.packet(0, STAMP, length, 'outbound', length === 61 ? 'a comment' : undefined);
    writer.bytes().fill(length, at, at + length);
  }
  return writer.take();
}

t.test('blocks are aligned and their lengths agree at both ends', async (t) => {
  const bytes = sample();
  const view = new DataView(bytes.buffer);
  const types: number[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = view.getUint32(at + 4, true);
    t.equal(length % 4, 0);
    t.equal(view.getUint32(at + length - 4, true), length);
    types.push(view.getUint32(at, true));
    at += length;
  }
  t.same(types, [0x0a0d0d0a, 1, 1, 4, 6, 6, 6, 6]);
});

t.test('a stamp keeps its nanoseconds', async (t) => {
  const writer = new PcapngWriter();
  writer.packet(0, STAMP, 4, 'inbound');
  const view = new DataView(writer.take().buffer);
  t.equal((BigInt(view.getUint32(12, true)) << 32n) | BigInt(view.getUint32(16, true)), STAMP);
});

t.test('tshark reads interfaces, stamps, lengths, directions and comments', async (t) => {
  if (!canRun(t, 'tshark')) return;
  const file = join(t.testdir(), 'x.pcapng');
  writeFileSync(file, sample());
  const fields = [
    'frame.interface_name',
    'frame.time_epoch',
    'frame.len',
    'frame.packet_flags_direction',
    'frame.comment',
  ];
  const out = execFileSync('tshark', ['-r', file, '-T', 'fields', ...fields.flatMap((f) => ['-e', f])], {
    encoding: 'utf8',
    stdio: 'pipe',
  });
  t.same(
    out
      .replace(/\n$/, '')
      .split('\n')
      .map((l) => l.split('\t')),
    [60, 61, 62, 63].map((n) => [
      'dev/jump',
      '1767225600.123456789',
      String(n),
      '0x00000002',
      n === 61 ? 'a comment' : '',
    ]),
  );
});
