// A session of a Pod (exec, attach, port-forward) between the main thread and a Node's: streams over one call, each way with a window, so
// that what is fast waits for what is slow and not in memory.
import { PassThrough, Writable } from 'node:stream';
import type { ExecSession, ExecStreams } from './node-handle.ts';
import type { Call, Rpc } from './rpc.ts';

/** Bytes under way, each way. */
const WINDOW = 1 << 20;

export type SessionRequest<T> = T & { readonly stdin: boolean };

/** To the Node: */
type Input =
  | { readonly stdin: Uint8Array }
  | { readonly end: true }
  | { readonly columns: number; readonly rows: number }
  | { readonly kill: true }
  /** So many bytes of output have reached the client. */
  | { readonly taken: number };
/** From the Node: */
type Output =
  | { readonly stdout: Uint8Array }
  | { readonly stderr: Uint8Array }
  /** stdout has ended. */
  | { readonly end: true }
  /** So many bytes of input have been read. */
  | { readonly taken: number };

type Streams = Pick<ExecStreams, 'stdin' | 'stdout'> & Partial<ExecStreams>;

/** The caller's side. */
export function callSession(rpc: Rpc, method: string, request: object, streams: Streams): ExecSession {
  const { stdin, stdout, stderr } = streams;
  const call = rpc.call(method, { ...request, stdin: stdin !== null });
  const send = (input: Input): void => call.send(input);
  let underWay = 0;
  let over = false;
  call.onMessage((message) => {
    const output = message as Output;
    if ('end' in output) stdout.end();
    else if ('taken' in output) {
      underWay -= output.taken;
      if (underWay < WINDOW) stdin?.resume();
    } else {
      const [stream, bytes] = 'stdout' in output ? [stdout, output.stdout] : [stderr, output.stderr];
      stream?.write(bytes, () => send({ taken: bytes.length }));
    }
  });
  stdin?.on('data', (chunk: Buffer) => {
    if (over) return;
    send({ stdin: new Uint8Array(chunk) });
    underWay += chunk.length;
    if (underWay >= WINDOW) stdin.pause();
  });
  stdin?.on('end', () => send({ end: true }));
  // What still comes has no reader: it must not hold up what else comes on the same way.
  const ended = (): void => {
    over = true;
    stdin?.resume();
  };
  call.result.then(ended, ended);
  return {
    exit: call.result as Promise<number>,
    resize: (columns, rows) => send({ columns, rows }),
    kill: () => send({ kill: true }),
  };
}

/** The Node's side. */
export async function serveSession(
  request: SessionRequest<object>,
  start: (streams: ExecStreams) => ExecSession,
  call: Call,
): Promise<number> {
  const send = (output: Output): void => call.send(output);
  const stdin = request.stdin ? new PassThrough() : null;
  stdin?.on('error', () => {}); // the command has gone and reads no more
  let underWay = 0;
  let waiting: (() => void)[] = [];
  let over = false;
  let gone = false;
  const output = (name: 'stdout' | 'stderr'): Writable =>
    new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        if (gone) return done();
        const bytes = new Uint8Array(chunk);
        send(name === 'stdout' ? { stdout: bytes } : { stderr: bytes });
        underWay += chunk.length;
        // The command goes on once the client has read.
        if (underWay < WINDOW) done();
        else waiting.push(done);
      },
      final: (done) => {
        if (name === 'stdout' && !over) send({ end: true });
        done();
      },
    });
  const go = (): void => {
    const ready = waiting;
    waiting = [];
    for (const done of ready) done();
  };
  const [stdout, stderr] = [output('stdout'), output('stderr')];
  const session = start({ stdin, stdout, stderr });
  call.onMessage((message) => {
    const input = message as Input;
    if ('stdin' in input) stdin?.write(input.stdin, () => send({ taken: input.stdin.length }));
    else if ('end' in input) stdin?.end();
    else if ('kill' in input) {
      gone = true;
      session.kill();
      go();
    } else if ('taken' in input) {
      underWay -= input.taken;
      if (underWay < WINDOW) go();
    } else session.resize(input.columns, input.rows);
  });
  const code = await session.exit;
  over = true;
  // A program may end before what it wrote has been taken.
  for (const stream of [stdout, stderr]) await new Promise<unknown>((resolve) => stream.end(resolve));
  return code;
}
