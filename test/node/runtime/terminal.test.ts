import { PassThrough } from 'node:stream';
import t from 'tap';
import { Terminal } from '../../../src/node/runtime/terminal.ts';

interface Setup {
  readonly terminal: Terminal;
  type(keys: string | Buffer): Promise<void>;
  /** What has been shown since the last call. */
  screen(): string;
  end(): Promise<void>;
}

function setup(): Setup {
  const keys = new PassThrough();
  const screen = new PassThrough();
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  return {
    terminal: new Terminal(keys, screen),
    type: async (text) => {
      keys.write(text);
      await settle();
    },
    screen: () => (screen.read() as Buffer | null)?.toString() ?? '',
    end: async () => {
      keys.end();
      await settle();
    },
  };
}

/** Collects what a foreground reads. */
function reads(
  terminal: Terminal,
  interrupt: () => void = () => {},
): { text: string; ended: boolean; leave: () => void } {
  const foreground = terminal.enter(interrupt);
  const got = { text: '', ended: false, leave: foreground.leave };
  foreground.input.on('data', (chunk: Buffer) => void (got.text += chunk.toString()));
  foreground.input.on('end', () => void (got.ended = true));
  return got;
}

t.test('lines are edited before anybody reads them', async (t) => {
  for (const [keys, line, shown] of [
    ['ab\r', 'ab\n', 'ab\r\n'],
    ['ab\n', 'ab\n', 'ab\r\n'],
    ['abx\x7fc\r', 'abc\n', 'abx\b \bc\r\n'],
    ['\x7f\ba\r', 'a\n', 'a\r\n'],
    ['ab\x15c\r', 'c\n', 'ab\b \b\b \bc\r\n'],
    ['ab cd \x17e\r', 'ab e\n', `ab cd ${'\b \b'.repeat(3)}e\r\n`],
    ['a\x01\x7f\r', 'a\n', 'a^A\b \b\b \b\r\n'],
    ['grüß\x7f\r', 'grü\n', 'grüß\b \b\r\n'],
    ['a\tb\r', 'a\tb\n', 'a\tb\r\n'],
    ['ab\x04', 'ab', 'ab'],
  ] as const) {
    const { terminal, type, screen } = setup();
    const got = reads(terminal);
    await type(keys);
    t.equal(got.text, line, JSON.stringify(keys));
    t.equal(screen(), shown, `${JSON.stringify(keys)} on the screen`);
  }
});

t.test('a character may come in pieces', async (t) => {
  const { terminal, type, screen } = setup();
  const got = reads(terminal);
  const [first, second] = [Buffer.from('ü').subarray(0, 1), Buffer.from('ü').subarray(1)];
  await type(first);
  t.equal(screen(), '');
  await type(second);
  await type('\r');
  t.equal(got.text, 'ü\n');
});

t.test('^C drops the line and interrupts whoever is on top', async (t) => {
  const { terminal, type, screen } = setup();
  const interrupted: string[] = [];
  const below = reads(terminal, () => interrupted.push('below'));
  const above = reads(terminal, () => interrupted.push('above'));
  await type('abc\x03');
  t.equal(screen(), 'abc^C');
  above.leave();
  await type('\x03x\r');
  t.same(interrupted, ['above', 'below']);
  t.equal(below.text, 'x\n');
  t.equal(above.text, '');
});

t.test('^D on an empty line ends the input of the one on top only', async (t) => {
  const { terminal, type } = setup();
  const below = reads(terminal);
  const above = reads(terminal);
  await type('a\r\x04');
  t.match(above, { text: 'a\n', ended: true });
  above.leave();
  t.match(below, { text: '', ended: false });
  await type('b\r');
  t.equal(below.text, 'b\n');
});

t.test('what is typed ahead waits for the one that reads', async (t) => {
  const { terminal, type } = setup();
  const idle = terminal.enter(() => {});
  await type('one\rtwo\r');
  idle.leave();
  const reader = reads(terminal);
  await new Promise((resolve) => setImmediate(resolve));
  t.equal(reader.text, 'one\ntwo\n');
});

t.test('the end of the user’s input is everybody’s', async (t) => {
  const { terminal, type, end } = setup();
  const below = reads(terminal);
  const above = reads(terminal);
  await type('last words');
  await end();
  t.ok(above.ended);
  above.leave();
  await new Promise((resolve) => setImmediate(resolve));
  t.ok(below.ended);
  t.ok(
    await new Promise((resolve) =>
      new Terminal(null, new PassThrough())
        .enter(() => {})
        .input.on('end', () => resolve(true))
        .resume(),
    ),
  );
});

t.test('output returns the carriage, and flush waits for it', async (t) => {
  const { terminal, screen } = setup();
  terminal.output.write('a\nb\r\n');
  await terminal.flush();
  t.equal(screen(), 'a\r\nb\r\n');
});
