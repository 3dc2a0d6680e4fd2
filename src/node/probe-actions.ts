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

  /** Rejects, and lets `abandon` clean up, when `work` takes too long. */
  const within = <T>(timeoutMs: number, late: string, work: Promise<T>, abandon: () => void): Promise<T> =>
    new Promise((resolve, reject) => {
      const timer = clock.after(timeoutMs * 1000, () => {
        abandon();
        reject(new Error(late));
      });
      work.then(resolve, reject).finally(() => timer.cancel());
    });

  return {
    http(port, path, timeoutMs) {
      const url = `http://${host}:${port}${path}`;
      const socket = new TcpSocket(stack);
      const answered = new Promise<void>((resolve, reject) => {
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
      const late = `Get "${url}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)`;
      return within(timeoutMs, late, answered, () => socket.destroy());
    },

    tcp(port, timeoutMs) {
      const socket = new TcpSocket(stack);
      const connected = new Promise<void>((resolve, reject) => {
        socket.once('connect', () => resolve());
        socket.once('error', (error: Error) => reject(new Error(inGo(error, host, port))));
        socket.connect(port, host);
      });
      const late = `dial tcp ${host}:${port}: i/o timeout`;
      return within(timeoutMs, late, connected, () => socket.destroy()).finally(() => socket.destroy());
    },

    async exec(command, timeoutMs) {
      let output = '';
      const sink = (): Writable =>
        new Writable({
          write: (chunk: Buffer, _encoding, done) => {
            output += chunk.toString();
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
      const { code } = await within(timeoutMs, late, process.exit, () => process.signal('SIGKILL'));
      if (code !== 0) throw new Error(output.trim() || `command exited with ${code}`);
    },
  };
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
