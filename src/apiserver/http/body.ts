// Request bodies: read up to a limit, then taken apart by content type. After k8s.io/apiserver/pkg/endpoints/handlers
// (limitedReadBody, the codecs); wording as there.
import type { IncomingMessage } from 'node:http';
import { parse } from 'yaml';
import { StatusError } from '../../api/status-error.ts';
import { decodeProtobuf, ProtobufError } from '../protobuf/decode.ts';

/** As the real server's default. */
export const MAX_BODY_BYTES = 3 * 1024 * 1024;

const ACCEPTED = 'application/json, application/yaml, application/vnd.kubernetes.protobuf';

/** What is too large is read on to its end, unkept, so that the client gets to read the answer. */
export function readBody(request: IncomingMessage): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= MAX_BODY_BYTES) chunks.push(chunk);
      else {
        chunks.length = 0;
        reject(new StatusError('RequestEntityTooLarge', 413, `Request entity too large: limit is ${MAX_BODY_BYTES}`));
      }
    });
    request.on('end', () => resolve(Buffer.concat(chunks)));
    request.on('error', reject);
    request.on('aborted', () => reject(new StatusError('BadRequest', 400, 'the client ended the request')));
  });
}

/** Without parameters, in lower case; '' when there is none. */
export function contentType(request: IncomingMessage): string {
  return (request.headers['content-type'] ?? '').split(';')[0]!.trim().toLowerCase();
}

/** The object in the body. Throws StatusError 400 or 415. */
export function decodeBody(body: Buffer, type: string): unknown {
  switch (type) {
    case '':
    case 'application/json':
      return parseJson(body);
    case 'application/yaml':
      return parseYaml(body);
    case 'application/vnd.kubernetes.protobuf':
      try {
        return decodeProtobuf(body);
      } catch (error) {
        if (error instanceof ProtobufError) throw new StatusError('BadRequest', 400, error.message);
        throw error;
      }
    default:
      throw unsupportedMediaType(ACCEPTED);
  }
}

export function unsupportedMediaType(accepted: string): StatusError {
  return new StatusError(
    'UnsupportedMediaType',
    415,
    `the body of the request was in an unknown format - accepted media types include: ${accepted}`,
  );
}

export function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch (error) {
    throw new StatusError(
      'BadRequest',
      400,
      `couldn't get version/kind; json parse error: ${(error as Error).message}`,
    );
  }
}

export function parseYaml(body: Buffer): unknown {
  try {
    // As in manifests: YAML 1.1. Aliases are bounded: a few lines must not become gigabytes.
    return parse(body.toString('utf8'), { version: '1.1', maxAliasCount: 100 });
  } catch (error) {
    throw new StatusError('BadRequest', 400, `error converting YAML to JSON: ${(error as Error).message}`);
  }
}
