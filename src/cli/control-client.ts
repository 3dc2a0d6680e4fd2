// The client of a running cluster's control socket (src/cluster/control-server.ts).
import { type IncomingMessage, request } from 'node:http';
import { json } from 'node:stream/consumers';
import { WebSocket } from 'ws';
import { CHANNEL, CHANNEL_PROTOCOL, exitCodeOf } from '../apiserver/streaming/remote-command.ts';
import { runDir } from '../cluster/run-dir.ts';
import { CliError } from './cli-error.ts';

const NO_CLUSTER = 'no cluster is running; start one with `podwire up`';

/** JSON of a GET, or of a POST. Rejects with CliError: no cluster, or what the cluster answered. */
export async function ask(path: string, method: 'GET' | 'POST' = 'GET'): Promise<unknown> {
  return json(await open(path, method));
}

/** The response of a request whose body is a stream. Rejects as `ask` does. */
export async function open(path: string, method: 'GET' | 'POST' = 'GET'): Promise<IncomingMessage> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const call = request({ socketPath: runDir().controlSocket, path, method }, resolve);
    call.on('error', (cause) => reject(unreachable(cause)));
    call.end();
  });
  if (response.statusCode !== 200) throw await refusal(response);
  return response;
}

function unreachable(cause: NodeJS.ErrnoException): CliError {
  const absent = cause.code === 'ENOENT' || cause.code === 'ECONNREFUSED';
  return new CliError(absent ? NO_CLUSTER : `control socket: ${cause.message}`, { cause });
}

/** Any answer but 200 says why. */
async function refusal(response: IncomingMessage): Promise<CliError> {
  return new CliError(((await json(response)) as { message: string }).message);
}

export interface ExecOptions {
  readonly pod: string;
  readonly container?: string;
  readonly command: readonly string[];
  readonly stdin: boolean;
  readonly tty: boolean;
}

/** Runs a command in a Pod with this process's own streams; resolves with its exit code, or 0 when nobody reads its output any more. */
export function exec(options: ExecOptions): Promise<number> {
  const query = new URLSearchParams({ pod: options.pod });
  if (options.container) query.set('container', options.container);
  for (const word of options.command) query.append('command', word);
  if (options.stdin) query.set('stdin', '1');
  if (options.tty) query.set('tty', '1');
  const socket = new WebSocket(`ws+unix:${runDir().controlSocket}:/exec?${query}`, CHANNEL_PROTOCOL, {
    perMessageDeflate: false,
  });
  const { stdout, stderr } = process;
  return new Promise<number>((resolve, reject) => {
    socket.on('message', (data: Buffer) => {
      const body = data.subarray(1);
      if (data[0] === CHANNEL.stdout) stdout.write(body);
      else if (data[0] === CHANNEL.stderr) stderr.write(body);
      else if (data[0] === CHANNEL.error) {
        try {
          resolve(exitCodeOf(JSON.parse(body.toString())));
        } catch (error) {
          reject(new CliError((error as Error).message));
        }
      }
    });
    socket.on('unexpected-response', (_request, response: IncomingMessage) => {
      refusal(response).then(reject, reject);
    });
    socket.on('error', (cause) => reject(unreachable(cause)));
    socket.on('close', () => reject(new CliError('the cluster went away before the command ended')));
    stdout.on('error', () => {
      resolve(0);
      socket.close();
    });
  }).finally(sendInput(socket, options));
}

/** Passes on what this process is given, and with a terminal its size, once the socket is open. Returns what ends that. */
function sendInput(socket: WebSocket, options: ExecOptions): () => void {
  const { stdin, stdout } = process;
  const raw = options.tty && stdin.isTTY;
  const resize = (): void => {
    if (!stdout.columns) return;
    socket.send(frame(CHANNEL.resize, JSON.stringify({ Width: stdout.columns, Height: stdout.rows })));
  };
  socket.on('open', () => {
    if (raw) stdin.setRawMode(true);
    if (options.tty) {
      resize();
      stdout.on('resize', resize);
    }
    if (!options.stdin) return;
    stdin.on('data', (chunk: Buffer) => socket.send(frame(CHANNEL.stdin, chunk)));
    stdin.on('end', () => {
      if (socket.readyState === socket.OPEN) socket.send(Buffer.from([CHANNEL.close, CHANNEL.stdin]));
    });
  });
  return () => {
    if (raw) stdin.setRawMode(false);
    stdout.off('resize', resize);
    stdin.pause();
  };
}

function frame(channel: number, data: string | Buffer): Buffer {
  return Buffer.concat([Buffer.from([channel]), Buffer.from(data)]);
}
