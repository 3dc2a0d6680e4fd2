// What a packet looks up costs the same among 10 and among 100,000 Services, and allocates nothing: virtual services, connections of
// IPVS and of conntrack, and the hash schedulers. Cost is told in steps, not in time: each look-up is let loose over a table whose
// words are counted as they are read.
import t from 'tap';
import { DestTable } from '../../../src/kernel/ipvs/dest.ts';
import { Ipvs } from '../../../src/kernel/ipvs/ipvs.ts';
import { schedulers } from '../../../src/kernel/ipvs/scheduler/registry.ts';
import { VirtualService } from '../../../src/kernel/ipvs/service.ts';
import { ServiceTable } from '../../../src/kernel/ipvs/service-table.ts';
import { LookupTable } from '../../../src/kernel/netfilter/nftables/lookup-table.ts';
import { VirtualClock } from '../../../src/lib/clock.ts';
import { SeededRng } from '../../../src/lib/rng.ts';
import { allocated } from '../../support/allocated.ts';
import { Lab, POD_A, POD_B } from '../../support/kernel.ts';
import { ip, udp } from '../../support/packet.ts';

const FIRST = 0x0a600001;
const SIZES = [10, 100_000] as const;
const SCHEDULERS = schedulers(new SeededRng(1));

/** How often `work` reads an element of an Int32Array, by a stand-in for the class while `make` runs. */
function reads<T>(make: () => T, work: (made: T) => void): number {
  let count = 0;
  const Real = globalThis.Int32Array;
  const counted = (array: Int32Array): Int32Array => {
    const proxy = new Proxy(array, {
      get: (target, key) => {
        if (typeof key === 'string' && /^\d+$/.test(key)) count++;
        const value = Reflect.get(target, key, target) as unknown;
        if (typeof value !== 'function') return value;
        return (...args: unknown[]): unknown => {
          const result = value.apply(target, args) as unknown;
          return result === target ? proxy : result; // fill()
        };
      },
      set: (target, key, value) => Reflect.set(target, key, value, target),
    });
    return proxy;
  };
  globalThis.Int32Array = new Proxy(Real, {
    construct: (target, args: ConstructorParameters<typeof Real>) => counted(new target(...args)),
    get: (target, key) => {
      const value = Reflect.get(target, key, target) as unknown;
      return typeof value === 'function' ? value.bind(target) : value; // from()
    },
  });
  try {
    const made = make();
    count = 0;
    work(made);
    return count;
  } finally {
    globalThis.Int32Array = Real;
  }
}

function services(count: number, scheduler = 'rr'): ServiceTable {
  const table = new ServiceTable();
  for (let i = 0; i < count; i++)
    table.add(new VirtualService({ proto: 6, addr: FIRST + i, port: 80, scheduler, flags: 0 }, SCHEDULERS));
  return table;
}

t.test('a virtual service is found in as many steps among 100,000 as among 10', (t) => {
  const steps = SIZES.map((count) => {
    const lookups = 1000;
    const read = reads(
      () => services(count),
      (table) => {
        for (let i = 0; i < lookups; i++) table.lookup(6, (FIRST + ((i * 7919) % count)) | 0, 80);
      },
    );
    return read / lookups;
  });
  t.ok(steps[1]! < steps[0]! * 1.5 && steps[1]! < 8, `${steps.join(' and ')} words a look-up`);
  t.end();
});

t.test("an element of nftables' maps is, too", (t) => {
  const steps = SIZES.map((count) => {
    const lookups = 1000;
    const fill = (): LookupTable => {
      const table = new LookupTable();
      for (let i = 0; i < count; i++) table.set((FIRST + i) | 0, (6 << 16) | 80, i);
      return table;
    };
    const read = reads(fill, (table) => {
      for (let i = 0; i < lookups; i++) table.find((FIRST + ((i * 7919) % count)) | 0, (6 << 16) | 80);
    });
    return read / lookups;
  });
  t.ok(steps[1]! < steps[0]! * 2 && steps[1]! < 8, `${steps.join(' and ')} words a look-up`);
  t.end();
});

t.test('looking up among 100,000 allocates nothing, whatever the addresses', async (t) => {
  const table = services(100_000);
  let found = 0;
  const bytes = await allocated(200_000, () => {
    for (let i = 0; i < 400_000; i++) if (table.lookup(6, (FIRST + (i % 100_000)) | 0, 80)) found++;
  });
  t.ok(found >= 400_000);
  t.ok(bytes <= 200_000, `${bytes} bytes for 400,000`);
});

for (const scheduler of ['sh', 'mh']) {
  for (const flags of [0, 0x10]) {
    t.test(
      `${scheduler}, flags ${flags}: a choice is one look into a table of fixed size, and allocates nothing`,
      async (t) => {
        const svc = (dests: number): VirtualService => {
          const made = new VirtualService({ proto: 6, addr: FIRST, port: 80, scheduler, flags }, SCHEDULERS);
          const table = new DestTable(new VirtualClock());
          for (let i = 0; i < dests; i++) made.addDest({ addr: 0x0af40001 + i, port: 8080, weight: 1 }, table);
          return made;
        };
        if (scheduler === 'mh') {
          const [few, many] = [3, 20].map((n) =>
            reads(
              () => svc(n),
              (made) => {
                for (let i = 0; i < 500; i++) made.scheduler.schedule((0x0af40000 + i) | 0, 1000 + i, 0);
              },
            ),
          );
          t.equal(few, many, `${few! / 500} words a choice, of 3 and of 20 dests`);
        }
        const { scheduler: chooser } = svc(50);
        let chosen = 0;
        const bytes = await allocated(200_000, () => {
          for (let i = 0; i < 400_000; i++)
            if (chooser.schedule((0xc0a80000 + (i & 0xffff)) | 0, i & 0xffff, 0)) chosen++;
        });
        t.ok(chosen >= 400_000);
        t.ok(bytes <= 200_000, `${bytes} bytes for 400,000`);
      },
    );
  }
}

t.test('connections: found in as many steps among 100,000 as among 10, in IPVS and in conntrack', async (t) => {
  const lookups = 500;
  const steps = SIZES.map((count) => {
    let lab!: Lab;
    const read = reads(
      () => {
        lab = new Lab({ conntrackMax: 262_144 });
        lab.pod('a', POD_A);
        lab.pod('b', POD_B);
        const ipvs = new Ipvs(lab.kernel);
        ipvs.addService({
          proto: 17,
          addr: FIRST,
          port: 53,
          scheduler: 'rr',
          flags: 0,
          timeoutS: 0,
          netmask: 0xffffffff,
        });
        ipvs.addDest({ proto: 17, addr: FIRST, port: 53 }, { addr: 0x0af40006, port: 53, weight: 1 });
        const [dest] = [...ipvs.table.lookup(17, FIRST, 53)!.dests()];
        for (let i = 0; i < count; i++) {
          const id = ipvs.conns.create(17, (0x0b000000 + (i >> 10)) | 0, 1024 + (i & 1023), FIRST, 53, 0, dest!.id);
          ipvs.conns.touch(id);
        }
        return ipvs;
      },
      (ipvs) => {
        for (let i = 0; i < lookups; i++) {
          const at = (i * 7919) % count;
          if (ipvs.conns.findIn(17, (0x0b000000 + (at >> 10)) | 0, 1024 + (at & 1023), FIRST, 53) === 0)
            throw new Error('lost');
        }
      },
    );
    lab.close();
    return read / lookups;
  });
  t.ok(steps[1]! < steps[0]! * 2, `IPVS: ${steps.join(' and ')} words a look-up`);
});

t.test('conntrack: a packet of a connection takes as many steps among 20,000 as among 10', async (t) => {
  const packets = 200;
  const steps = [10, 20_000].map((count) => {
    const query = (i: number): Uint8Array => ip({ saddr: POD_A, daddr: POD_B }, udp({ sport: 1024 + i, dport: 53 }));
    let lab!: Lab;
    const read = reads(
      () => {
        lab = new Lab({ conntrackMax: 65_536 });
        lab.pod('a', POD_A);
        lab.pod('b', POD_B);
        for (let i = 0; i < count; i++) lab.from('a', query(i));
        t.equal(lab.kernel.conntrack.count, count);
      },
      () => {
        for (let i = 0; i < packets; i++) lab.from('a', query((i * 7919) % count));
      },
    );
    lab.close();
    return read / packets;
  });
  t.ok(steps[1]! < steps[0]! * 1.5, `${steps.join(' and ')} words a packet`);
});
