// The request that curl's options make for one URL: method and header fields in curl's order.
import type { CurlOptions } from './options.ts';

export interface CurlRequest {
  readonly method: string;
  readonly path: string;
  /** In order; a name may come twice. */
  readonly headers: readonly (readonly [string, string])[];
  readonly body: Buffer | undefined;
}

/** `redirected` is the status that led here: what was posted is then asked for with GET, except for 307 and 308. */
export function makeRequest(options: CurlOptions, url: URL, redirected: number | undefined): CurlRequest {
  const dropsBody = redirected !== undefined && redirected < 307;
  const body = options.get || dropsBody ? undefined : options.body;
  const query = options.get && redirected === undefined && options.body ? options.body.toString() : '';
  const search = query ? `${url.search || '?'}${url.search ? '&' : ''}${query}` : url.search;
  const custom = options.headers.map(parseHeader);
  const replaced = (name: string): boolean => custom.some(([n]) => n.toLowerCase() === name.toLowerCase());
  const user =
    options.user ??
    (url.username ? `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}` : undefined);
  const headers: [string, string][] = [['Host', custom.findLast(([n]) => /^host$/i.test(n))?.[1] ?? url.host]];
  const add = (name: string, value: string | undefined): void => {
    if (value !== undefined && value !== '' && !replaced(name)) headers.push([name, value]);
  };
  add('Authorization', user && `Basic ${Buffer.from(user).toString('base64')}`);
  add('Range', options.range && `bytes=${options.range}`);
  add('User-Agent', options.userAgent);
  add('Accept', '*/*');
  add('Referer', options.referer);
  for (const [name, value] of custom) if (value !== undefined && !/^host$/i.test(name)) headers.push([name, value]);
  if (body !== undefined) {
    add('Content-Length', String(body.length));
    add('Content-Type', 'application/x-www-form-urlencoded');
  }
  const method = options.method ?? (options.head ? 'HEAD' : body === undefined ? 'GET' : 'POST');
  return { method, path: url.pathname + search, headers, body };
}

/** `Name: value`; `Name:` takes a header away, `Name;` sends it empty. */
function parseHeader(line: string): [string, string | undefined] {
  const colon = line.indexOf(':');
  if (colon < 0) return line.endsWith(';') ? [line.slice(0, -1), ''] : [line, undefined];
  return [line.slice(0, colon), line.slice(colon + 1).trim() || undefined];
}

export function headText({ method, path, headers }: CurlRequest): string[] {
  return [`${method} ${path} HTTP/1.1`, ...headers.map(([name, value]) => `${name}: ${value}`.trimEnd()), ''];
}
