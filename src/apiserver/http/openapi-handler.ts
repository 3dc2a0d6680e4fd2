// /openapi/v3 over HTTP: the index, and documents that clients may keep for as long as they are asked for by their hash. After
// k8s.io/kube-openapi pkg/handler3 (HandleGroupVersion) and pkg/handler (ETag, 304).
import type { IncomingMessage, ServerResponse } from 'node:http';
import { StatusError } from '../../api/status-error.ts';
import type { OpenApi } from '../openapi/openapi.ts';
import { sendBytes, sendJson } from './respond.ts';

const ROOT = '/openapi/v3';
const YEAR_MS = 365 * 24 * 3600 * 1000;

/** False: the path is none of OpenAPI's. Throws StatusError 406. */
export function serveOpenApi(
  openApi: OpenApi,
  url: URL,
  path: string,
  request: IncomingMessage,
  response: ServerResponse,
  nowMs: number,
): boolean {
  if (path === ROOT) {
    sendJson(response, 200, openApi.index());
    return true;
  }
  const document = path.startsWith(`${ROOT}/`) ? openApi.document(path.slice(ROOT.length + 1)) : undefined;
  if (!document) return false;
  const accept = request.headers.accept ?? '*/*';
  if (!/(\*\/\*|application\/(\*|json))/.test(accept)) {
    throw new StatusError('NotAcceptable', 406, 'only the following media types are accepted: application/json');
  }
  const { hash, text } = document;
  const asked = url.searchParams.get('hash');
  response.setHeader('Vary', 'Accept');
  if (asked !== null && asked !== hash) {
    response.writeHead(301, { Location: `${path}?hash=${hash}` }).end();
    return true;
  }
  const etag = JSON.stringify(hash);
  response.setHeader('ETag', etag);
  const caching = asked === null ? 'no-cache, private' : 'public, immutable';
  if (asked !== null) response.setHeader('Expires', new Date(nowMs + YEAR_MS).toUTCString());
  if (request.headers['if-none-match'] === etag) response.writeHead(304, { 'Cache-Control': caching }).end();
  else sendBytes(response, 200, Buffer.from(text), 'application/json', caching);
  return true;
}
