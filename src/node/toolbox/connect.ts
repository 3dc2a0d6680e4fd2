// connect(2) with a time limit, for programs that speak TCP.
import { ECONNREFUSED, socketError } from '../../tcpip-ts/errno.ts';
import { TcpSocket } from '../../tcpip-ts/socket/tcp-socket.ts';
import { formatIPv4 } from '../../tcpip-ts/wire/address.ts';
import type { ProcessContext } from '../workloads/program.ts';
import { Interrupted } from './dns/client.ts';

/** Over the limit that the caller set, not TCP's own. */
export class ConnectTimeout extends Error {}

/**
 * A connected socket, the caller's to destroy; it is destroyed when the process is signalled. Rejects with the socket's error,
 * with ConnectTimeout after `limitMs`, or with Interrupted.
 */
export async function connectTcp(
  ctx: ProcessContext,
  daddr: number,
  port: number,
  limitMs = Number.POSITIVE_INFINITY,
): Promise<TcpSocket> {
  const socket = new TcpSocket(ctx.stack);
  const interrupt = (): void => void socket.destroy(new Interrupted('interrupted'));
  ctx.signal.addEventListener('abort', interrupt);
  socket.once('close', () => ctx.signal.removeEventListener('abort', interrupt));
  const timer =
    limitMs < Number.POSITIVE_INFINITY
      ? ctx.clock.after(limitMs * 1000, () => socket.destroy(new ConnectTimeout('timed out')))
      : undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
      if (ctx.signal.aborted) interrupt();
      else if (port === 0)
        socket.destroy(socketError(ECONNREFUSED, 'connect', formatIPv4(daddr), port)); // nobody can listen there
      else socket.connect(port, formatIPv4(daddr));
    });
  } finally {
    timer?.cancel();
  }
  socket.removeAllListeners('error');
  return socket;
}
