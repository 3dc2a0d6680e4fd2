// Throughput of one connection over receive buffer, loss and delay, after smoltcp's netsim: a transfer of bounded time on a virtual
// clock for each cell, the same seed always, so that the table is the same to the byte. It is a snapshot in
// test/golden/tcp-loss-grid.txt: a change of behaviour shows as a change of the table, to be reviewed and taken over with
// UPDATE_GOLDEN=1. Mbit/s of payload, over links without a rate limit.
import { readFileSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { Pair, pump, Sink } from '../../support/tcp-pair.ts';

const GOLDEN = new URL('../../../../test/golden/tcp-loss-grid.txt', import.meta.url);
const BUFFERS = [4096, 16_384, 65_536, 262_144, 1_048_576] as const;
const LOSSES = [0, 0.001, 0.01, 0.05, 0.1] as const;
const DELAYS_MS = [1, 10, 50] as const;
const SEEDS = [1, 2] as const;
const TRANSFER = 1 << 20;
const LIMIT_MS = 30_000;

interface Cell {
  readonly mbps: number;
  readonly problem: string;
}

function run(buffer: number, loss: number, delayMs: number, seed: number, congestion: 'newreno' | 'cubic'): Cell {
  const tcp = { receiveBuffer: buffer, receiveBufferMax: buffer, congestion };
  const pair = new Pair({ seed, loss, delayUs: delayMs * 1000, tcp });
  const [client, server] = pair.connect();
  const sink = new Sink(server);
  const startUs = pair.clock.nowUs();
  pump(client, TRANSFER);
  pair.until(() => sink.ended, LIMIT_MS, 1);
  const us = pair.clock.nowUs() - startUs;
  const problem = sink.wrongAt >= 0 ? `wrong byte at ${sink.wrongAt}` : sink.received === 0 ? 'nothing arrived' : '';
  return { mbps: (sink.received * 8) / us, problem };
}

function table(congestion: 'newreno' | 'cubic', problems: string[]): string {
  const lines = [`${congestion}: Mbit/s, mean of ${SEEDS.length} seeds`];
  lines.push(
    `${'buffer'.padStart(8)} ${'one way'.padStart(8)}${LOSSES.map((l) => `${l * 100} %`.padStart(10)).join('')}`,
  );
  for (const buffer of BUFFERS) {
    for (const delayMs of DELAYS_MS) {
      const cells = LOSSES.map((loss) => {
        let sum = 0;
        for (const seed of SEEDS) {
          const { mbps, problem } = run(buffer, loss, delayMs, seed, congestion);
          if (problem !== '') problems.push(`${congestion} ${buffer} ${loss} ${delayMs} ms seed ${seed}: ${problem}`);
          sum += mbps;
        }
        return (sum / SEEDS.length).toFixed(2).padStart(10);
      });
      lines.push(`${String(buffer).padStart(8)} ${`${delayMs} ms`.padStart(8)}${cells.join('')}`);
    }
  }
  return `${lines.join('\n')}\n`;
}

t.setTimeout(0); // a loaded machine takes long over it; the runner has its own limit
t.test('the throughput table is as it was', async (t) => {
  const problems: string[] = [];
  const found = `${table('newreno', problems)}\n${table('cubic', problems)}`;
  t.same(problems, []);
  if (process.env['UPDATE_GOLDEN']) writeFileSync(GOLDEN, found);
  t.equal(found, readFileSync(GOLDEN, 'utf8'));
});
