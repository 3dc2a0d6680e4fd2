// The remote command protocol over WebSocket, `v5.channel.k8s.io` (KEP-4006; client-go tools/remotecommand) and `v4`, which lacks only
// the close channel: each binary message is one channel byte and data.
//   0 stdin  1 stdout  2 stderr  3 error: a metav1.Status at the end  4 resize: {"Width","Height"}  255 close: the channel that ends
// With a terminal there is no stderr channel. Output waits when the client reads slowly, input when the command does.
import { PassThrough, type Readable, Writable } from 'node:stream';
import type { WebSocket } from 'ws';
import type { Clock, Timer } from '../../lib/clock.ts';
import { keepAlive, pauseWhile, sendTo } from './web-socket.ts';

export const CHANNEL_PROTOCOL = 'v5.channel.k8s.io';
export const COMMAND_PROTOCOLS = [CHANNEL_PROTOCOL, 'v4.channel.k8s.io'];

export const CHANNEL = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4, close: 255 } as const;

export interface CommandStreams {
  readonly stdin: Readable | null;
  readonly stdout: Writable;
  readonly stderr: Writable;
}

export interface CommandSession {
  readonly exit: Promise<number>;
  resize(columns: number, rows: number): void;
  kill(): void;
}

/** Serves one command on an open socket: `start` begins it with streams that end in the socket. */
export function serveRemoteCommand(
  socket: WebSocket,
  options: { stdin: boolean; tty: boolean; clock: Clock },
  start: (streams: CommandStreams) => CommandSession,
): void {
  const stdin = options.stdin ? new PassThrough() : null;
  const stdout = channelWriter(socket, CHANNEL.stdout);
  const stderr = channelWriter(socket, CHANNEL.stderr);
  const sized = options.tty ? new FirstSize(options.clock) : undefined;
  /** The status goes last: what has been written may still wait for the client. */
  const finish = (status: object): void => {
    let writing = 2;
    const written = (): void => {
      if (--writing > 0) return;
      if (sized) sized.wait(() => sendStatus(socket, status));
      else sendStatus(socket, status);
    };
    stdin?.destroy(); // lets go of a client that waits for room
    stdout.end(written);
    stderr.end(written);
  };
  let session: CommandSession;
  try {
    session = start({ stdin, stdout, stderr });
  } catch (error) {
    finish(failure((error as Error).message));
    return;
  }
  let over = false;
  keepAlive(socket, options.clock);
  socket.on('message', (data: Buffer) => {
    const channel = data[0];
    const body = data.subarray(1);
    if (channel === CHANNEL.stdin) {
      if (stdin?.writable && !stdin.write(body)) pauseWhile(socket, stdin);
    } else if (channel === CHANNEL.close && body[0] === CHANNEL.stdin) stdin?.end();
    else if (channel === CHANNEL.resize) {
      sized?.seen();
      resize(session, body);
    }
  });
  socket.on('close', () => {
    stdin?.end();
    if (!over) session.kill();
  });
  socket.on('error', () => {}); // 'close' follows
  session.exit.then(
    (code) => {
      over = true;
      finish(code === 0 ? SUCCESS : exited(code));
    },
    (error: unknown) => {
      over = true;
      finish(failure(error instanceof Error ? error.message : String(error)));
    },
  );
}

/**
 * A client on a terminal first tells its size. When that meets a socket that is closing, because the command has ended already, kubectl
 * complains of its own message; no container starts and ends that fast in a cluster. So the end waits for the size, but not for long.
 */
class FirstSize {
  #timer: Timer;
  #come = false;
  #then: (() => void) | undefined;

  constructor(clock: Clock) {
    this.#timer = clock.after(FIRST_SIZE_US, () => this.seen());
  }

  seen(): void {
    this.#timer.cancel();
    this.#come = true;
    this.#then?.();
    this.#then = undefined;
  }

  wait(then: () => void): void {
    if (this.#come) then();
    else this.#then = then;
  }
}

const FIRST_SIZE_US = 200_000;
const SUCCESS = { metadata: {}, status: 'Success' };

/** As the kubelet reports an exit code: kubectl takes it from the cause. */
function exited(code: number): object {
  return {
    metadata: {},
    status: 'Failure',
    message: `command terminated with non-zero exit code: exit status ${code}`,
    reason: 'NonZeroExitCode',
    details: { causes: [{ reason: 'ExitCode', message: String(code) }] },
  };
}

function failure(message: string): object {
  return { metadata: {}, status: 'Failure', message, reason: 'InternalError', code: 500 };
}

/** The exit code that a final Status tells; throws its message when the command could not be run. */
export function exitCodeOf(status: unknown): number {
  const {
    status: outcome,
    reason,
    message,
    details,
  } = status as {
    status?: string;
    reason?: string;
    message?: string;
    details?: { causes?: { reason?: string; message?: string }[] };
  };
  if (outcome === 'Success') return 0;
  if (reason === 'NonZeroExitCode') return Number(details?.causes?.find((c) => c.reason === 'ExitCode')?.message ?? 1);
  throw new Error(message ?? 'the command failed');
}

function sendStatus(socket: WebSocket, status: object): void {
  socket.send(Buffer.concat([Buffer.from([CHANNEL.error]), Buffer.from(JSON.stringify(status))]), () =>
    socket.close(1000),
  );
}

function channelWriter(socket: WebSocket, channel: number): Writable {
  const writer = new Writable({
    write: (chunk: Buffer, _encoding, done) => sendTo(socket, Buffer.concat([Buffer.from([channel]), chunk]), done),
  });
  writer.on('error', () => {}); // written after the end: the client has gone
  return writer;
}

function resize(session: CommandSession, body: Buffer): void {
  try {
    const { Width, Height } = JSON.parse(body.toString()) as { Width?: unknown; Height?: unknown };
    if (typeof Width === 'number' && typeof Height === 'number') session.resize(Width, Height);
  } catch {
    // not JSON: ignored, as client-go's server does
  }
}
