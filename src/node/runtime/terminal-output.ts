// What the kernel's terminal does to a program's output: a line feed becomes carriage return and line feed (termios ONLCR). For
// userspace processes, which have no kernel terminal. One that follows a carriage return already is left as it is.
import { Writable } from 'node:stream';

const CR = 13;
const LF = 10;

/** A stream that writes to `screen`, and ends without ending it. */
export function terminalOutput(screen: Writable): Writable {
  let last = 0;
  return new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      const out: number[] = [];
      for (const byte of chunk) {
        if (byte === LF && last !== CR) out.push(CR);
        out.push(byte);
        last = byte;
      }
      // Handed on at once: a process has ended when its output is written.
      if (screen.destroyed || screen.write(Buffer.from(out))) done();
      else whenDrained(screen, done);
    },
  });
}

/** Also when the screen goes away, whose output nobody waits for. */
function whenDrained(screen: Writable, done: () => void): void {
  const finish = (): void => {
    screen.off('drain', finish);
    screen.off('close', finish);
    done();
  };
  screen.on('drain', finish);
  screen.on('close', finish);
}
