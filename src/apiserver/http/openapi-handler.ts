// /openapi/v3 over HTTP: the index, and documents that clients may keep for as long as they are asked for by their hash. After
// k8s.io/kube-openapi pkg/handler3 (HandleGroupVersion) and pkg/handler (ETag, 304).
//
// And /openapi/v2, which kubectl asks for where it finds nothing about a kind in v3: a List, or a kind that is not served. A kind
// that v2 has not it sends unvalidated, for the server to judge (k8s.io/kubectl pkg/util/openapi/validation); without any v2 it
// gives up with "the server could not find the requested resource".
// Deviation: v2 has neither paths nor definitions, so that kinds are described once; only clients from before 1.24 know v2 alone.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { StatusError } from '../../api/status-error.ts';
import type { OpenApi } from '../openapi/openapi.ts';
import { sendBytes, sendJson } from './respond.ts';

const ROOT = '/openapi/v3';
const V2 = '/openapi/v2';
const INFO = { title: 'Kubernetes', version: 'unversioned' };
/** What clients accept has an @ where the answer's type has a dot (kube-openapi, pkg/handler). */
const V2_PROTOBUF = /application\/com\.github\.proto-openapi\.spec\.v2[@.]v1\.0\+protobuf/;
const V2_PROTOBUF_TYPE = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf';
/** gnostic's openapi_v2.Document: 1 swagger, 2 info (1 title, 2 version). */
const V2_DOCUMENT = Buffer.concat([
  field(1, Buffer.from('2.0')),
  field(2, Buffer.concat([field(1, Buffer.from(INFO.title)), field(2, Buffer.from(INFO.version))])),
]);
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
  if (path === V2) {
    response.setHeader('Vary', 'Accept');
    if (V2_PROTOBUF.test(request.headers.accept ?? '')) sendBytes(response, 200, V2_DOCUMENT, V2_PROTOBUF_TYPE);
    else sendJson(response, 200, { swagger: '2.0', info: INFO, paths: {}, definitions: {} });
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

/** A length-delimited protobuf field of fewer than 128 bytes. */
function field(number: number, bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from([(number << 3) | 2, bytes.length]), bytes]);
}
