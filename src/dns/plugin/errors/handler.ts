// Logs what went wrong further down the chain: `2 example.org. A: read udp ...: i/o timeout` (CoreDNS plugin/errors/errors.go).
import { RCODE, typeText } from '../../constants.ts';
import { type Handler, nextOrFailure, type Request, ServeError } from '../../request.ts';

export function logErrors(log: (message: string) => void, next: Handler | undefined): Handler {
  const failed = (request: Request, error: unknown): number => {
    const rcode = error instanceof ServeError ? error.rcode : RCODE.SERVFAIL;
    const message = error instanceof Error ? error.message : String(error);
    log(`${rcode} ${request.name} ${typeText(request.question.type)}: ${message}`);
    return rcode;
  };
  return (request, writer) => {
    try {
      const served = nextOrFailure('errors', next, request, writer);
      return served instanceof Promise ? served.catch((error: unknown) => failed(request, error)) : served;
    } catch (error) {
      return failed(request, error);
    }
  };
}
