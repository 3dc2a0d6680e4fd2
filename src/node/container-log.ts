// What a container wrote, a line with its time and stream each, as the CRI log format keeps it. Bounded: the oldest lines go
// first. Followers get lines as they are completed; a partial last line is kept until its newline or the end of the stream.
import { Writable } from 'node:stream';
import type { Clock } from '../lib/clock.ts';

export interface LogLine {
  readonly unixMs: number;
  readonly stream: 'stdout' | 'stderr';
  /** Without the newline. */
  readonly text: string;
}

interface Attached {
  readonly onChunk: (stream: 'stdout' | 'stderr', chunk: Buffer) => void;
  readonly onEnd: () => void;
}

interface Follower {
  readonly onLine: (line: LogLine) => void;
  readonly onEnd: () => void;
}

const MAX_BYTES = 1 << 20;
const MAX_LINE = 16 * 1024; // as CRI: longer lines are split

export class ContainerLog {
  readonly #clock: Clock;
  #lines: LogLine[] = [];
  #bytes = 0;
  readonly #followers = new Set<Follower>();
  readonly #attached = new Set<Attached>();
  /** Streams that are still written to; -1: none has been made yet. */
  #writing = -1;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Lines so far, oldest first. */
  lines(): readonly LogLine[] {
    return this.#lines;
  }

  /** Calls `onLine` for each line from now on, and `onEnd` once there will be no more; returns the function that ends it. */
  follow(onLine: (line: LogLine) => void, onEnd: () => void = () => {}): () => void {
    const follower = { onLine, onEnd };
    if (this.#writing === 0) onEnd();
    else this.#followers.add(follower);
    return () => this.#followers.delete(follower);
  }

  /** Calls `onChunk` with all that is written from now on, as it is written, and `onEnd` at the end; returns what ends it. */
  attach(onChunk: Attached['onChunk'], onEnd: () => void): () => void {
    const attached = { onChunk, onEnd };
    if (this.#writing === 0) onEnd();
    else this.#attached.add(attached);
    return () => this.#attached.delete(attached);
  }

  append(stream: 'stdout' | 'stderr', text: string): void {
    const line: LogLine = { unixMs: this.#clock.unixMs(), stream, text };
    this.#lines.push(line);
    this.#bytes += text.length + 1;
    if (this.#bytes > MAX_BYTES) this.#trim();
    for (const follower of this.#followers) follower.onLine(line);
  }

  /** A stream whose bytes become lines. */
  writable(stream: 'stdout' | 'stderr'): Writable {
    let partial = '';
    this.#writing = Math.max(0, this.#writing) + 1;
    const decoder = new TextDecoder();
    return new Writable({
      decodeStrings: true,
      write: (chunk: Buffer, _encoding, done) => {
        for (const attached of this.#attached) attached.onChunk(stream, chunk);
        const lines = (partial + decoder.decode(chunk, { stream: true })).split('\n');
        partial = lines.pop()!;
        for (const line of lines) this.append(stream, line);
        while (partial.length > MAX_LINE) {
          this.append(stream, partial.slice(0, MAX_LINE));
          partial = partial.slice(MAX_LINE);
        }
        done();
      },
      final: (done) => {
        if (partial !== '') this.append(stream, partial);
        this.#ended();
        done();
      },
    });
  }

  #ended(): void {
    if (--this.#writing > 0) return;
    for (const { onEnd } of [...this.#followers, ...this.#attached]) onEnd();
    this.#followers.clear();
    this.#attached.clear();
  }

  #trim(): void {
    let dropped = 0;
    while (this.#bytes > MAX_BYTES / 2) this.#bytes -= this.#lines[dropped++]!.text.length + 1;
    this.#lines = this.#lines.slice(dropped);
  }
}
