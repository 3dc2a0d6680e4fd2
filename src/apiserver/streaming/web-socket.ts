// What both protocols of Pod streams need of a WebSocket: writing no faster than the client reads, reading no faster than the Pod does, and
// hearing of a client that has gone while nothing is read from it.
import type { Writable } from 'node:stream';
import type { WebSocket } from 'ws';
import type { Clock, Timer } from '../../lib/clock.ts';

/** While nothing is read only writing tells that the client is gone: the first ping draws a reset, the second fails. */
const PING_US = 1_000_000;

/** `done` is called once the bytes are with the kernel, or can go nowhere any more. */
export function sendTo(socket: WebSocket, bytes: Buffer, done: () => void): void {
  if (socket.readyState !== socket.OPEN) done();
  else socket.send(bytes, () => done());
}

/** Reads nothing more from the client until `target` has room. */
export function pauseWhile(socket: WebSocket, target: Writable): void {
  if (socket.isPaused) return;
  socket.pause();
  const resume = (): void => {
    target.off('drain', resume);
    target.off('close', resume);
    socket.resume();
  };
  target.on('drain', resume);
  target.on('close', resume);
}

/** Ends with the socket. */
export function keepAlive(socket: WebSocket, clock: Clock): void {
  let timer: Timer;
  const arm = (): void => {
    timer = clock.after(PING_US, () => {
      if (socket.readyState === socket.OPEN && socket.isPaused) socket.ping();
      arm();
    });
  };
  arm();
  socket.on('close', () => timer.cancel());
}
