// For generated Services and packets, in each mode: the kernel does with a real packet what the what-if engine says of it. That the
// modes agree is tested in test/cluster/offline/modes.test.ts.
import t from 'tap';
import { SeededRng } from '../../src/lib/rng.ts';
import { PROXY_MODES } from '../../src/proxy/config.ts';
import type { Lab } from '../support/kernel.ts';
import { ObjectBench } from '../support/objects.ts';
import { ip, type Parsed, parse, tcp, udp } from '../support/packet.ts';
import { fc } from '../support/property.ts';
import { ENDPOINTS, MIX_BENCH, type Question, serviceMix, surroundings } from '../support/service-mix.ts';

const SERVICES = 10;

/** What became of a packet. */
function observe(lab: Lab, q: Question, sport: number): string {
  const segment =
    q.protocol === 'tcp' ? tcp({ sport, dport: q.port, flags: 'S' }) : udp({ sport, dport: q.port }, 'who?');
  const { from } = q;
  const packet = ip({ saddr: from, daddr: q.to }, segment);
  const origin = q.client === 'pod' ? 'pod' : 'net';
  if (q.client === 'node') lab.send(packet);
  else lab.from(origin, packet);
  const local = lab.local.splice(0).map((bytes) => parse(bytes, 'ip'));
  const got = [...['pod', 'net', ...ENDPOINTS.map((_, i) => `e${i}`)].flatMap((name) => lab.take(name)), ...local];
  if (got.length === 0) return 'DROP';
  if (got.length > 1) return `${got.length} packets`;
  const [only] = got as [Parsed];
  if (only.icmp?.type === 3 && only.icmp.code === 3) return 'REJECT';
  if (only.ip!.daddr === q.to) return 'NONE';
  const port = only.tcp?.dport ?? only.udp?.dport;
  return `${only.ip!.daddr}:${port} ${only.ip!.saddr === from ? 'kept' : 'masqueraded'}`;
}

for (const mode of PROXY_MODES) {
  t.test(`${mode}: a packet meets the fate that the what-if engine tells`, (t) => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0x7fffffff }), (seed) => {
        const mix = serviceMix(new SeededRng(seed), SERVICES);
        const lab = surroundings();
        const bench = new ObjectBench({ ...MIX_BENCH, mode, lab });
        bench.apply(...mix.objects);
        bench.sync();
        let sport = 20_000;
        for (const q of mix.questions) {
          const answer = bench.explain({ from: q.from, to: q.to, toPort: q.port, protocol: q.protocol });
          lab.clock.advance(2e6); // icmp_ratelimit
          const seen = observe(lab, q, sport++);
          const { verdict, endpoints, masquerade } = answer;
          const how = masquerade ? 'masqueraded' : 'kept';
          const told = verdict === 'DNAT' ? endpoints.map((e) => `${e.address}:${e.port} ${how}`) : [verdict];
          const isLetIn = seen === 'NONE' && (verdict === 'LOCAL' || verdict === 'ACCEPT');
          if (told.includes(seen) || isLetIn) continue;
          throw new Error(`${q.service} ${q.target} from ${q.client}: ${seen}; told ${told.join(', ')}`);
        }
        const { faults } = lab;
        bench.close();
        if (faults.length > 0) throw new Error(faults.join('\n'));
      }),
      { seed: 21, numRuns: 6 },
    );
    t.pass('for every generated packet');
    t.end();
  });
}
