// Logs what went wrong further down the chain: `2 example.org. A: read udp ...: i/o timeout` (CoreDNS plugin/errors/errors.go).
// Errors of a kind that is consolidated are counted instead, and told of once at the end of a period.
import type { Clock, Timer } from '../../../lib/clock.ts';
import { typeText } from '../../constants.ts';
import { afterwards, type Handler, nextOrFailure } from '../../request.ts';
import { durationText } from '../plugin.ts';

/** Counts the errors that match for a period, which begins with the first of them. */
export class Consolidation {
  readonly #clock: Clock;
  readonly #periodUs: number;
  readonly #pattern: string;
  readonly #regexp: RegExp;
  readonly #log: (message: string) => void;
  #count = 0;
  #timer: Timer | undefined;

  constructor(clock: Clock, periodUs: number, pattern: string, log: (message: string) => void) {
    this.#clock = clock;
    this.#periodUs = periodUs;
    this.#pattern = pattern;
    this.#regexp = new RegExp(pattern);
    this.#log = log;
  }

  /** True when the error is one of its kind; it is then counted. */
  takes(message: string): boolean {
    if (!this.#regexp.test(message)) return false;
    if (this.#count++ === 0) this.#timer = this.#clock.after(this.#periodUs, () => this.flush());
    return true;
  }

  /** Tells of what was counted so far. */
  flush(): void {
    this.#timer?.cancel();
    const count = this.#count;
    this.#count = 0;
    if (count > 0)
      this.#log(`${count} errors like '${this.#pattern}' occurred in last ${durationText(this.#periodUs)}`);
  }
}

/** Nothing is thrown above it. */
export function logErrors(
  log: (message: string) => void,
  consolidations: readonly Consolidation[],
  next: Handler | undefined,
): Handler {
  return (request, writer) =>
    afterwards(
      () => nextOrFailure('errors', next, request, writer),
      (rcode, error) => {
        if (error !== undefined) {
          const message = error instanceof Error ? error.message : String(error);
          if (!consolidations.some((one) => one.takes(message)))
            log(`${rcode} ${request.name} ${typeText(request.question.type)}: ${message}`);
        }
        return rcode;
      },
    );
}
