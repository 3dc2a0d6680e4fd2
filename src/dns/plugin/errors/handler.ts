// Logs what went wrong further down the chain: `2 example.org. A: read udp ...: i/o timeout` (CoreDNS plugin/errors/errors.go).
import { typeText } from '../../constants.ts';
import { afterwards, type Handler, nextOrFailure } from '../../request.ts';

/** Nothing is thrown above it. */
export function logErrors(log: (message: string) => void, next: Handler | undefined): Handler {
  return (request, writer) =>
    afterwards(
      () => nextOrFailure('errors', next, request, writer),
      (rcode, error) => {
        if (error !== undefined) {
          const message = error instanceof Error ? error.message : String(error);
          log(`${rcode} ${request.name} ${typeText(request.question.type)}: ${message}`);
        }
        return rcode;
      },
    );
}
