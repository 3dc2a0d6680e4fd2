import { PassThrough } from 'node:stream';
import t from 'tap';
import { terminalOutput } from '../../../src/node/runtime/terminal-output.ts';

t.test('a line feed brings the carriage back, once', async (t) => {
  const screen = new PassThrough();
  const out = terminalOutput(screen);
  for (const chunk of ['a\nb\r\nc\r', '\n\n', 'd']) out.write(chunk);
  out.end();
  t.equal((screen.read() as Buffer).toString(), 'a\r\nb\r\nc\r\n\r\nd');
});
