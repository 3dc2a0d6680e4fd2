// Counts how often the one question of this server is seen (CoreDNS plugin/loop/loop.go).
import { TYPE } from '../../constants.ts';
import { type Handler, nextOrFailure } from '../../request.ts';

/** Our own question counts once; twice more means a circle. */
const MOST_SEEN = 2;

export class LoopDetector {
  readonly #qname: string;
  readonly #onLoop: (from: string) => void;
  #seen = 0;
  #enabled = true;

  /** `onLoop` is told where the question came from. */
  constructor(qname: string, onLoop: (from: string) => void) {
    this.#qname = qname;
    this.#onLoop = onLoop;
  }

  disable(): void {
    this.#enabled = false;
  }

  handler(next: Handler | undefined): Handler {
    return (request, writer) => {
      if (this.#enabled && request.question.type === TYPE.HINFO && request.name === this.#qname) {
        this.#seen++;
        if (this.#seen > MOST_SEEN) {
          this.#enabled = false;
          this.#onLoop(`${request.origin.address}:${request.origin.port}`);
        }
      }
      return nextOrFailure('loop', next, request, writer);
    };
  }
}
