// Port forwarding over a WebSocket, in both forms that clients speak.
//   SPDY/3.1+portforward.k8s.io   kubectl 1.31 and later (KEP-4006): the messages carry a SPDY connection. For each forwarded connection
//                                 the client opens an error stream and a data stream with the same request id.
//   v4.channel.k8s.io             client libraries: for the i-th port asked for, channel 2i is data and 2i+1 errors, each begun by the
//                                 port's number in two bytes, least first; one connection a port.
// After k8s.io/kubelet/pkg/cri/streaming/portforward (httpstream.go, websocket.go); wording as there.
import { PassThrough, type Readable, Writable } from 'node:stream';
import type { WebSocket } from 'ws';
import type { Clock, Timer } from '../../lib/clock.ts';
import type { CommandSession } from './remote-command.ts';
import { SpdyConnection, type SpdyStream } from './spdy/connection.ts';
import { pauseWhile, sendTo } from './web-socket.ts';

export const PORT_FORWARD_SPDY = 'SPDY/3.1+portforward.k8s.io';
export const PORT_FORWARD_CHANNELS = 'v4.channel.k8s.io';

export interface ForwardStreams {
  readonly stdin: Readable;
  readonly stdout: Writable;
}

/** Connects to a port of the Pod. `stdout` is ended when the Pod ends; the session, when both ways have. Its `exit` rejects with why not. */
export type Forward = (port: number, streams: ForwardStreams) => CommandSession;

const CREATION_TIMEOUT_US = 30_000_000;

interface Pair {
  error?: SpdyStream;
  data?: SpdyStream;
  timer: Timer;
}

/** Serves the socket until it closes; connections to the Pod go with it. */
export function forwardOverSpdy(socket: WebSocket, clock: Clock, forward: Forward): void {
  const pairs = new Map<string, Pair>();
  const connection = new SpdyConnection(
    {
      write: (bytes, done) => sendTo(socket, bytes, done),
      pause: () => socket.pause(),
      resume: () => socket.resume(),
      close: () => socket.close(1000),
    },
    (stream) => {
      const type = stream.headers.get('streamtype');
      if (type !== 'error' && type !== 'data') throw new Error(`invalid stream type "${type}"`);
      const port = Number(stream.headers.get('port'));
      if (!(Number.isInteger(port) && port > 0 && port < 65_536)) throw new Error('"port" header is required');
      const request = stream.headers.get('requestid') ?? '';
      const pair: Pair = pairs.get(request) ?? { timer: clock.after(CREATION_TIMEOUT_US, () => expire(request)) };
      pairs.set(request, pair);
      pair[type] = stream;
      if (!pair.error || !pair.data) return;
      pair.timer.cancel();
      pairs.delete(request);
      const { error, data } = pair;
      error.resume(); // the client ends it at once
      run(forward, port, { stdin: data, stdout: data }, data, (why) => {
        error.end(why);
        if (!data.writableEnded) data.end();
      });
    },
  );
  const expire = (request: string): void => {
    const pair = pairs.get(request);
    pairs.delete(request);
    pair?.error?.end(`(request=${JSON.stringify(request)}) timed out waiting for streams`);
    pair?.data?.destroy();
  };
  socket.on('message', (bytes: Buffer) => connection.receive(bytes));
  socket.on('close', () => {
    for (const { timer } of pairs.values()) timer.cancel();
    connection.close();
  });
  socket.on('error', () => {}); // 'close' follows
}

/** Serves the socket, a connection for each of `ports`; closes it when all of them have ended. */
export function forwardOverChannels(socket: WebSocket, ports: readonly number[], forward: Forward): void {
  let open = ports.length;
  const inputs = ports.map((port, i) => {
    const stdin = new PassThrough();
    const [stdout, errors] = [channel(socket, 2 * i), channel(socket, 2 * i + 1)];
    for (const stream of [stdout, errors]) stream.write(Buffer.from([port & 0xff, port >> 8]));
    socket.on('close', () => stdin.destroy());
    run(forward, port, { stdin, stdout }, stdin, (why) => {
      if (why !== '') errors.write(why);
      errors.end(() => {
        if (--open === 0) socket.close(1000);
      });
    });
    return stdin;
  });
  socket.on('message', (message: Buffer) => {
    const stdin = message[0]! % 2 === 0 ? inputs[message[0]! / 2] : undefined;
    if (stdin && !stdin.write(message.subarray(1))) pauseWhile(socket, stdin);
  });
  socket.on('error', () => {}); // 'close' follows
}

/** `over` is called once, with what went wrong or ''; when `client` closes before, the connection to the Pod goes. */
function run(
  forward: Forward,
  port: number,
  streams: ForwardStreams,
  client: Readable,
  over: (why: string) => void,
): void {
  let session: CommandSession;
  try {
    session = forward(port, streams);
  } catch (error) {
    over((error as Error).message);
    return;
  }
  let ended = false;
  const end = (why: string): void => {
    ended = true;
    over(why);
  };
  session.exit.then(
    () => end(''),
    (error: unknown) => end(error instanceof Error ? error.message : String(error)),
  );
  client.on('close', () => {
    if (!ended) session.kill();
  });
}

function channel(socket: WebSocket, number: number): Writable {
  return new Writable({
    write: (chunk: Buffer, _encoding, done) => sendTo(socket, Buffer.concat([Buffer.from([number]), chunk]), done),
  });
}
