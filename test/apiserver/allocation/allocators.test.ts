import t from 'tap';
import { AllocationError, formatIPv4, IpAllocator, parseIPv4 } from '../../../src/apiserver/allocation/ip-allocator.ts';
import { PortAllocator } from '../../../src/apiserver/allocation/port-allocator.ts';
import { SeededRng } from '../../../src/lib/rng.ts';

/** All addresses in the order in which an allocator gives them when nobody asks. */
function drain(cidr: string, seed: number): string[] {
  const ips = new IpAllocator(cidr, new SeededRng(seed));
  const out: string[] = [];
  for (;;) {
    try {
      out.push(formatIPv4(ips.allocateNext()));
    } catch (error) {
      if (error instanceof AllocationError && error.message === 'range is full') return out;
      throw error;
    }
  }
}

t.test('dynamic addresses come from above the band until it is full, then from the band (KEP-3070)', async (t) => {
  for (const [cidr, size, band] of [
    ['192.168.0.0/22', 1022, 64],
    ['192.168.0.0/24', 254, 16],
    ['192.168.0.0/26', 62, 16],
    ['192.168.0.0/27', 30, 16],
    ['192.168.0.0/29', 6, 0],
  ] as const) {
    const order = drain(cidr, 3);
    t.equal(order.length, size, cidr);
    t.equal(new Set(order).size, size);
    const first = parseIPv4('192.168.0.1')!;
    const dynamic = order.slice(0, size - band).map((a) => parseIPv4(a)! - first);
    t.ok(dynamic.every((offset) => offset >= band));
    t.ok(order.slice(size - band).every((a) => parseIPv4(a)! - first < band));
    t.notOk(order.includes('192.168.0.0'));
  }
});

t.test('the band of a large network is 256 addresses', async (t) => {
  for (const cidr of ['10.96.0.0/12', '10.96.0.0/16']) {
    for (let seed = 0; seed < 20; seed++) {
      const ip = new IpAllocator(cidr, new SeededRng(seed)).allocateNext();
      t.ok(ip >= parseIPv4('10.96.1.1')!, formatIPv4(ip));
    }
  }
  const lowest = new IpAllocator('10.96.0.0/16', { u32: () => 0, below: () => 0, float: () => 0 });
  t.equal(formatIPv4(lowest.allocateNext()), '10.96.1.1');
});

t.test('what is taken cannot be taken again until it is released', async (t) => {
  const ips = new IpAllocator('10.0.0.5/24', new SeededRng(1));
  t.equal(ips.cidr, '10.0.0.0/24');
  const ip = parseIPv4('10.0.0.7')!;
  ips.allocate(ip);
  t.throws(() => ips.allocate(ip), { message: 'provided IP is already allocated' });
  t.throws(() => ips.allocate(parseIPv4('10.0.0.255')!), {
    message: 'the provided IP (10.0.0.255) is not in the valid range. The range of valid IPs is 10.0.0.0/24',
  });
  t.equal(ips.free, 253);
  ips.release(ip);
  ips.release(ip);
  ips.allocate(ip);
  for (const bad of ['10.0.0.0', 'x/24', '10.0.0.0/33', '10.0.0.0/31', '::/64']) {
    t.throws(() => new IpAllocator(bad, new SeededRng(1)), AllocationError, bad);
  }
});

t.test('octets with leading zeros are decimal', async (t) => {
  t.equal(parseIPv4('010.001.2.3'), parseIPv4('10.1.2.3'));
  for (const bad of ['1.2.3', '1.2.3.256', '1.2.3.4.5', 'a.b.c.d', '']) t.equal(parseIPv4(bad), undefined);
  t.equal(formatIPv4(0xffff_fffe), '255.255.255.254');
});

t.test('dynamic node ports come from above the band of 86 until it is full (KEP-3668)', async (t) => {
  const ports = new PortAllocator([30_000, 32_767], new SeededRng(5));
  const order = Array.from({ length: 2768 }, () => ports.allocateNext());
  t.equal(new Set(order).size, 2768);
  t.ok(order.slice(0, 2682).every((p) => p >= 30_086));
  t.ok(order.slice(2682).every((p) => p < 30_086));
  t.throws(() => ports.allocateNext(), { message: 'range is full' });
  ports.release(30_000);
  t.equal(ports.allocateNext(), 30_000);
  t.throws(() => ports.allocate(30_000), { message: 'provided port is already allocated' });
  t.throws(() => ports.allocate(80), {
    message: 'provided port is not in the valid range. The range of valid ports is 30000-32767',
  });
  t.throws(() => new PortAllocator([0, 10], new SeededRng(1)), AllocationError);
});
