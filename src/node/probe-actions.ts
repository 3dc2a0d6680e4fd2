// How probes reach a Pod: from the Node's own stack, as the kubelet's do; exec probes run in the Pod.
import { get } from 'node:http';
import type { Socket } from 'node:net';
import { Writable } from 'node:stream';
import type { Clock } from '../lib/clock.ts';
import { TcpSocket } from '../tcpip-ts/socket/tcp-socket.ts';
import type { Stack } from '../tcpip-ts/stack.ts';
import { formatIPv4 } from '../tcpip-ts/wire/address.ts';
import type { ProbeActions } from './kubelet/prober.ts';
import type { Sandbox } from './runtime/runtime.ts';

/** Each action resolves when the probe succeeds and rejects with the kubelet's words; times are of `clock`, in milliseconds. */
export function probeActions(stack: Stack, clock: Clock, podIP: number, sandbox: Sandbox): ProbeActions {
  const host = formatIPv4(podIP);
  return {
    http(port, path, timeoutMs) {
      const url = `http://${host}:${port}${path}`;
      const socket = new TcpSocket(stack);
      const late = `Get "${url}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)`;
      return within(clock, timeoutMs, late, answered(socket, url, host, port), () => socket.destroy());
    },

    tcp(port, timeoutMs) {
      const socket = new TcpSocket(stack);
      const late = `dial tcp ${host}:${port}: i/o timeout`;
      const abandon = (): void => void socket.destroy();
      return within(clock, timeoutMs, late, connected(socket, host, port), abandon).finally(abandon);
    },

    async exec(command, timeoutMs) {
      const output: Buffer[] = [];
      const sink = (): Writable =>
        new Writable({
          write: (chunk: Buffer, _encoding, done) => {
            output.push(chunk);
            done();
          },
        });
      const process = await sandbox.run({
        argv: command,
        env: {},
        cwd: '/',
        io: { stdin: null, stdout: sink(), stderr: sink(), tty: false },
      });
      const late = `command ${JSON.stringify(command.join(' '))} timed out`;
      const { code } = await within(clock, timeoutMs, late, process.exit, () => process.signal('SIGKILL'));
      if (code !== 0) throw new Error(Buffer.concat(output).toString().trim() || `command exited with ${code}`);
    },
  };
}

/** Rejects, and lets `abandon` clean up, when `work` takes too long. */
function within<T>(clock: Clock, timeoutMs: number, late: string, work: Promise<T>, abandon: () => void): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(timeoutMs * 1000, () => {
      abandon();
      reject(new Error(late));
    });
    work.then(resolve, reject).finally(() => timer.cancel());
  });
}

/** A GET is answered with 2xx or 3xx. */
function answered(socket: TcpSocket, url: string, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = get(
      url,
      {
        createConnection: () => socket.connect(port, host) as unknown as Socket, // a Duplex with what node:http uses of net.Socket
        headers: { 'User-Agent': 'kube-probe/1.35', Connection: 'close' },
      },
      (response) => {
        response.resume();
        const { statusCode = 0 } = response;
        if (statusCode >= 200 && statusCode < 400) resolve();
        else reject(new Error(`HTTP probe failed with statuscode: ${statusCode}`));
        response.on('end', () => socket.destroy());
      },
    );
    request.on('error', (error) => reject(new Error(`Get "${url}": ${inGo(error, host, port)}`)));
  });
}

function connected(socket: TcpSocket, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('connect', () => resolve());
    socket.once('error', (error: Error) => reject(new Error(inGo(error, host, port))));
    socket.connect(port, host);
  });
}

const GO_WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connect: connection refused',
  EHOSTUNREACH: 'connect: no route to host',
  ENETUNREACH: 'connect: network is unreachable',
  ETIMEDOUT: 'connect: connection timed out',
};

/** An error of a connection as the kubelet's HTTP client words it. */
function inGo(error: Error & { code?: string }, host: string, port: number): string {
  if (error.code === 'ECONNRESET') return /hang up/.test(error.message) ? 'EOF' : 'read: connection reset by peer';
  return `dial tcp ${host}:${port}: ${GO_WORDS[error.code ?? ''] ?? error.message}`;
}
