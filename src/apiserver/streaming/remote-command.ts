// The remote command protocol over WebSocket, `v5.channel.k8s.io` (KEP-4006; client-go tools/remotecommand): each binary message
// is one channel byte and data.
//   0 stdin  1 stdout  2 stderr  3 error: a metav1.Status at the end  4 resize: {"Width","Height"}  255 close: the channel that ends
// With a terminal there is no stderr channel. Output waits when the client reads slowly.
import { PassThrough, type Readable, Writable } from 'node:stream';
import type { WebSocket } from 'ws';

export const CHANNEL_PROTOCOL = 'v5.channel.k8s.io';

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
  options: { stdin: boolean },
  start: (streams: CommandStreams) => CommandSession,
): void {
  const stdin = options.stdin ? new PassThrough() : null;
  const stdout = channelWriter(socket, CHANNEL.stdout);
  const stderr = channelWriter(socket, CHANNEL.stderr);
  /** The status goes last: what has been written may still wait for the client. */
  const finish = (status: object): void => {
    let writing = 2;
    const written = (): void => {
      if (--writing === 0) sendStatus(socket, status);
    };
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
  socket.on('message', (data: Buffer) => {
    const channel = data[0];
    const body = data.subarray(1);
    if (channel === CHANNEL.stdin) stdin?.write(body);
    else if (channel === CHANNEL.close && body[0] === CHANNEL.stdin) stdin?.end();
    else if (channel === CHANNEL.resize) resize(session, body);
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
    write: (chunk: Buffer, _encoding, done) => {
      if (socket.readyState !== socket.OPEN) return done();
      socket.send(Buffer.concat([Buffer.from([channel]), chunk]), () => done());
    },
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
