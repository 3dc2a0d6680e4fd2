// A client of the kernel judge, as a process in its namespace: makes the connections it is told to on stdin (a list of Attempts)
// and prints what came of them (a list of Tallies). One of an attempt's tries after the other when `serial`.
import dgram from 'node:dgram';
import net from 'node:net';
import { text } from 'node:stream/consumers';

export interface Attempt {
  readonly id: number;
  readonly from: string;
  readonly to: string;
  readonly port: number;
  readonly protocol: 'tcp' | 'udp';
  readonly tries: number;
  readonly serial: boolean;
  readonly timeoutMs: number;
}

/** Times each thing came of it: `refused`, `timeout`, an errno name, or the server's `ADDRESS:PORT SOURCE`. */
export interface Tally {
  readonly id: number;
  readonly outcomes: Readonly<Record<string, number>>;
}

const AT_ONCE = 48;

const attempts = JSON.parse(await text(process.stdin)) as Attempt[];
const tallies = new Map(attempts.map((a) => [a.id, {} as Record<string, number>]));
const jobs: (() => Promise<void>)[] = [];
for (const attempt of attempts) {
  const once = async (): Promise<void> => {
    const outcome = await (attempt.protocol === 'tcp' ? tryTcp(attempt) : tryUdp(attempt));
    const tally = tallies.get(attempt.id)!;
    tally[outcome] = (tally[outcome] ?? 0) + 1;
  };
  if (attempt.serial) {
    jobs.push(async () => {
      for (let i = 0; i < attempt.tries; i++) await once();
    });
  } else {
    for (let i = 0; i < attempt.tries; i++) jobs.push(once);
  }
}
await Promise.all(
  Array.from({ length: AT_ONCE }, async () => {
    for (let job = jobs.shift(); job; job = jobs.shift()) await job();
  }),
);
console.log(JSON.stringify([...tallies].map(([id, outcomes]) => ({ id, outcomes }) satisfies Tally)));

function tryTcp({ from, to, port, timeoutMs }: Attempt): Promise<string> {
  return new Promise((resolve) => {
    const socket = net.connect({ host: to, port, localAddress: from });
    let got = '';
    const end = (outcome: string): void => {
      clearTimeout(timer);
      // A reset leaves no TIME-WAIT; on a socket that still connects, Node would wait for the connection to send it.
      if (socket.connecting) socket.destroy();
      else socket.resetAndDestroy();
      resolve(outcome);
    };
    const timer = setTimeout(() => end('timeout'), timeoutMs);
    socket.on('data', (bytes) => {
      got += bytes.toString();
    });
    socket.on('end', () => end(got));
    socket.on('error', (error: NodeJS.ErrnoException) => end(nameOf(error)));
  });
}

function tryUdp({ from, to, port, timeoutMs }: Attempt): Promise<string> {
  return new Promise((resolve) => {
    const socket = dgram.createSocket('udp4');
    let ended = false;
    const end = (outcome: string): void => {
      if (ended) return;
      ended = true;
      clearTimeout(timer);
      socket.close();
      resolve(outcome);
    };
    const timer = setTimeout(() => end('timeout'), timeoutMs);
    socket.on('error', (error: NodeJS.ErrnoException) => end(nameOf(error)));
    socket.on('message', (bytes) => end(bytes.toString()));
    socket.bind(0, from, () => {
      socket.connect(port, to, () => {
        if (!ended) socket.send('who?', (error) => error && end(nameOf(error as NodeJS.ErrnoException)));
      });
    });
  });
}

function nameOf(error: NodeJS.ErrnoException): string {
  return error.code === 'ECONNREFUSED' ? 'refused' : (error.code ?? error.message);
}
