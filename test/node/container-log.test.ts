import t from 'tap';
import { VirtualClock } from '../../src/lib/clock.ts';
import { ContainerLog } from '../../src/node/container-log.ts';

t.test('bytes become lines with their time and stream, a last one without newline too', async (t) => {
  const clock = new VirtualClock(1000);
  const log = new ContainerLog(clock);
  const heard: string[] = [];
  log.follow((line) => heard.push(line.text));
  const out = log.writable('stdout');
  const err = log.writable('stderr');
  out.write('one\ntw');
  clock.advance(5000);
  err.write('wrong\n');
  out.write('o\n');
  const umlaut = Buffer.from('ü');
  out.write(umlaut.subarray(0, 1));
  out.write(umlaut.subarray(1));
  out.end();
  await clock.run(0);
  t.same(
    log.lines().map((l) => [l.stream, l.text, l.unixMs]),
    [
      ['stdout', 'one', 1000],
      ['stderr', 'wrong', 1005],
      ['stdout', 'two', 1005],
      ['stdout', 'ü', 1005],
    ],
  );
  t.same(heard, ['one', 'wrong', 'two', 'ü']);
});

t.test('a log is bounded: the oldest lines go', async (t) => {
  const log = new ContainerLog(new VirtualClock());
  for (let i = 0; i < 30_000; i++) log.append('stdout', `${i} ${'x'.repeat(90)}`);
  const lines = log.lines();
  t.ok(lines.length < 12_000);
  t.match(lines.at(-1)!.text, /^29999 /);
});

t.test('an endless line is split', async (t) => {
  const log = new ContainerLog(new VirtualClock());
  log.writable('stdout').write('x'.repeat(40_000));
  t.same(
    log.lines().map((l) => l.text.length),
    [16384, 16384],
  );
});
