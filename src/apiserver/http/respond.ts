// Answers: JSON, or YAML where it is asked for, with the headers the real server sends.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { stringify } from 'yaml';
import { StatusError } from '../../api/status-error.ts';

export function sendJson(
  response: ServerResponse,
  code: number,
  value: unknown,
  contentType = 'application/json',
): void {
  const text = isPretty(response.req) ? JSON.stringify(value, null, 2) : `${JSON.stringify(value)}\n`;
  sendBytes(response, code, Buffer.from(text), contentType);
}

export function sendObject(request: IncomingMessage, response: ServerResponse, code: number, value: unknown): void {
  if (wantsYaml(request)) {
    sendBytes(response, code, Buffer.from(stringify(value, { lineWidth: 0 })), 'application/yaml');
  } else sendJson(response, code, value);
}

/** Laid out for people: where asked for, else for browsers and the like. After k8s.io/apiserver, negotiate.go (isPrettyPrint). */
function isPretty({ url = '', headers }: IncomingMessage): boolean {
  const asked = url.includes('pretty') ? new URL(url, 'https://apiserver').searchParams.get('pretty') : null;
  if (asked) return /^(1|t|true)$/i.test(asked);
  return /^(curl|Wget|Mozilla\/5\.0)/.test(headers['user-agent'] ?? '');
}

/** The JSON of stored objects goes out as it is kept. */
export function takesStored(request: IncomingMessage): boolean {
  return !wantsYaml(request) && !isPretty(request);
}

function wantsYaml({ headers }: IncomingMessage): boolean {
  return /^application\/yaml\b/.test(headers.accept ?? '');
}

export function sendText(
  response: ServerResponse,
  code: number,
  text: string,
  contentType = 'text/plain; charset=utf-8',
): void {
  response.setHeader('X-Content-Type-Options', 'nosniff');
  sendBytes(response, code, Buffer.from(text), contentType);
}

/** A Warning header, which kubectl prints; what has been said already is not said again. */
export function addWarning(response: ServerResponse, text: string): void {
  const printable = text.replace(/[\x00-\x1f\x7f]+/g, ' ');
  const value = `299 - ${JSON.stringify(Buffer.from(printable).toString('latin1'))}`;
  const before = response.getHeader('Warning');
  const values = Array.isArray(before) ? before : [];
  if (!values.includes(value)) response.setHeader('Warning', [...values, value]);
}

/** Whatever went wrong, as metav1.Status. Once an answer has begun, it can only be cut off. */
export function sendError(response: ServerResponse, error: unknown): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const status = asStatus(error);
  const { retryAfterSeconds } = status.details ?? {};
  if (retryAfterSeconds) response.setHeader('Retry-After', String(retryAfterSeconds));
  sendJson(response, status.code, status.toStatus());
}

export function asStatus(error: unknown): StatusError {
  if (error instanceof StatusError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new StatusError('InternalError', 500, `Internal error occurred: ${message}`);
}

export function sendBytes(
  response: ServerResponse,
  code: number,
  bytes: Buffer,
  contentType: string,
  caching = 'no-cache, private',
): void {
  response.statusCode = code;
  response.setHeader('Cache-Control', caching);
  response.setHeader('Content-Type', contentType);
  response.setHeader('Content-Length', bytes.length);
  response.end(bytes);
}
