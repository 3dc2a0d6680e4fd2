// Runs the dialogues in dialogues/*.script, each against a fresh layer. A line at the left margin that begins with RFC names a
// dialogue: the RFC, the section, the claim; the indented lines after it are its script (test/support/tcp-script.ts), with two
// kinds of lines more:
//   with KEY [VALUE]   options of the layer under test
//   start NAME         a beginning from the table below
import { readdirSync, readFileSync } from 'node:fs';
import t from 'tap';
import type { TcpOptions } from '../../../src/tcpip-ts/tcp/settings.ts';
import { ACCEPTED, CONNECTED, dialogue, type ScriptOptions } from '../../support/tcp-script.ts';

const FOLDER = new URL('../../../../test/tcpip-ts/tcp/dialogues/', import.meta.url);
const LEAST = 120;

/** Round trip 100 ms, MSS 1000: the timeout is 300 ms. */
const PLAIN = `
  connect
  > S 0:0
  +100ms < S. 0:0 ack 1 win 65535 <mss 1000>
  > . 1:1 ack 1
`;
const STARTS: Record<string, string> = {
  connected: CONNECTED,
  accepted: ACCEPTED,
  plain: PLAIN,
  sack: PLAIN.replace('1000>', '1000,sackOK>'),
  ts: PLAIN.replace('1000>', '1012,sackOK,TS val 1000 ecr last>'),
  ecn: `
    connect
    > [noecn] SEW 0:0
    +100ms < SE. 0:0 ack 1 win 65535 <mss 1000>
    > [noecn] . 1:1 ack 1`,
  'ecn-sack': `
    connect
    > SEW 0:0
    +100ms < SE. 0:0 ack 1 win 65535 <mss 1000,sackOK>
    > . 1:1 ack 1`,
  'ecn-accepted': `
    listen
    < SEW 0:0 win 65535 <mss 1000>
    > [noecn] SE. 0:0 ack 1
    < . 1:1 ack 1`,
  crossing: `
    connect
    > S 0:0
    < S 0:0 win 65535 <mss 1000>
    > S. 0:0 ack 1
    state SYN-RECEIVED`,
  timewait: `
    ${ACCEPTED}
    end
    > F. 1:1 ack 1
    < F. 1:1 ack 2
    > . 2:2 ack 2
    closed`,
  'timewait-ts': `
    listen
    < S 0:0 win 65535 <mss 1000,TS val 100 ecr 0>
    > S. 0:0 ack 1 <TS ecr 100>
    < . 1:1 ack 1 <TS val 101 ecr last>
    end
    > F. 1:1 ack 1
    < F. 1:1 ack 2 <TS val 102 ecr last>
    > . 2:2 ack 2
    closed`,
};

type Settings = { -readonly [K in keyof ScriptOptions]: ScriptOptions[K] } & {
  tcp: { -readonly [K in keyof TcpOptions]?: TcpOptions[K] };
};

function set(settings: Settings, [key = '', value = '']: string[]): void {
  const { tcp } = settings;
  if (key === 'timestamps') tcp.timestamps = true;
  else if (key === 'cubic') tcp.congestion = 'cubic';
  else if (key === 'ecn') tcp.ecn = Number(value) as 0 | 1 | 2;
  else if (key === 'nocookies') tcp.synCookies = false;
  else if (key === 'features') settings.features = Number(value);
  else if (key === 'buffer') tcp.receiveBuffer = tcp.receiveBufferMax = Number(value);
  else if (key === 'irs') settings.irs = Number(value);
  else if (key === 'mtu') settings.mtu = Number(value);
  else throw new Error(`with ${key}: unknown`);
}

/** Splits a dialogue into the script to run and the options to run it under. */
function read(lines: readonly string[]): [string, Settings] {
  const settings: Settings = { tcp: {} };
  const script: string[] = [];
  for (const line of lines) {
    const words = line.trim().split(/\s+/);
    if (words[0] === 'with') set(settings, words.slice(1));
    else if (words[0] === 'start') {
      const start = STARTS[words[1]!];
      if (start === undefined) throw new Error(`start ${words[1]}: unknown`);
      if (start.includes('TS val')) settings.tcp.timestamps = true;
      if (/> .*SEW/.test(start)) settings.tcp.ecn = 1;
      script.push(start);
    } else script.push(line);
  }
  return [script.join('\n'), settings];
}

let count = 0;
for (const file of readdirSync(FOLDER)
  .filter((name) => name.endsWith('.script'))
  .sort()) {
  const parts = readFileSync(new URL(file, FOLDER), 'utf8').split(/^(?=RFC )/m);
  t.test(file, async (t) => {
    for (const part of parts) {
      if (!part.startsWith('RFC ')) continue;
      const [name = '', ...lines] = part.split('\n');
      count++;
      t.test(name, async (t) => {
        dialogue(t, ...read(lines));
      });
    }
  });
}

t.test('there are enough of them', async (t) => {
  t.ok(count >= LEAST, `${count} dialogues`);
});
