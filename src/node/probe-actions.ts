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

export function probeActions(stack: Stack, clock: Clock, podIP: number, sandbox: Sandbox): ProbeActions {
  const host = formatIPv4(podIP);

  /** Rejects, and lets `abandon` clean up, when `work` takes too long. */
  const within = <T>(timeoutMs: number, what: string, work: Promise<T>, abandon: () => void): Promise<T> =>
    new Promise((resolve, reject) => {
      const timer = clock.after(timeoutMs * 1000, () => {
        abandon();
        reject(new Error(`${what}: context deadline exceeded (timeout ${timeoutMs} ms)`));
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
        request.on('error', (error) => reject(new Error(`Get "${url}": ${error.message}`)));
      });
      return within(timeoutMs, `Get "${url}"`, answered, () => socket.destroy());
    },

    tcp(port, timeoutMs) {
      const socket = new TcpSocket(stack);
      const connected = new Promise<void>((resolve, reject) => {
        socket.once('connect', () => resolve());
        socket.once('error', (error: Error) => reject(new Error(`dial tcp ${host}:${port}: ${error.message}`)));
        socket.connect(port, host);
      });
      return within(timeoutMs, `dial tcp ${host}:${port}`, connected, () => socket.destroy()).finally(() =>
        socket.destroy(),
      );
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
      const { code } = await within(timeoutMs, 'command', process.exit, () => process.signal('SIGKILL'));
      if (code !== 0) throw new Error(output.trim() || `command exited with ${code}`);
    },
  };
}
