// Request bodies: read up to a limit, then taken apart by content type. After k8s.io/apiserver/pkg/endpoints/handlers
// (limitedReadBody, transformDecodeError, summarizeData) and the codecs of apimachinery; wording as there.
import type { IncomingMessage } from 'node:http';
import { parse, YAMLParseError } from 'yaml';
import { badRequest, StatusError } from '../../api/status-error.ts';
import { decodeProtobuf, ProtobufError } from '../protobuf/decode.ts';
import { duplicateMembers, JsonSyntaxError } from './json-scan.ts';

/** As the real server's default. */
export const MAX_BODY_BYTES = 3 * 1024 * 1024;

const ACCEPTED = 'application/json, application/yaml, application/vnd.kubernetes.protobuf';
const SUMMARY_BYTES = 30;

/** What a body says, and what strict decoding has against its form: members that come twice. */
export interface Decoded {
  readonly value: unknown;
  readonly strictErrors: readonly string[];
}

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
        reject(
          new StatusError('RequestEntityTooLarge', 413, `Request entity too large: limit is ${MAX_BODY_BYTES}`, {}),
        );
      }
    });
    request.on('end', () => resolve(Buffer.concat(chunks)));
    request.on('error', reject);
    request.on('aborted', () => reject(badRequest('the client ended the request')));
  });
}

/** Without parameters, in lower case; '' when there is none. */
export function contentType(request: IncomingMessage): string {
  return (request.headers['content-type'] ?? '').split(';')[0]!.trim().toLowerCase();
}

/** The object in the body, of `kind` as the URL has it. Throws StatusError 400 or 415. */
export function decodeBody(body: Buffer, type: string, kind: string): Decoded {
  const unrecognized = (why: string): StatusError =>
    badRequest(`the object provided is unrecognized (must be of type ${kind}): ${why} (${summary(body)})`);
  switch (type) {
    case '':
    case 'application/json':
      try {
        return scanned(body);
      } catch (error) {
        throw unrecognized(`couldn't get version/kind; json parse error: ${(error as Error).message}`);
      }
    case 'application/yaml':
      try {
        return parsedYaml(body);
      } catch (error) {
        throw unrecognized(`yaml: ${(error as Error).message}`);
      }
    case 'application/vnd.kubernetes.protobuf':
      try {
        return { value: decodeProtobuf(body), strictErrors: [] };
      } catch (error) {
        if (error instanceof ProtobufError) throw badRequest(error.message);
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

/** A patch in JSON. Throws StatusError 400. */
export function decodePatch(body: Buffer): Decoded {
  try {
    return scanned(body);
  } catch (error) {
    throw badRequest(`error decoding patch: ${(error as Error).message}`);
  }
}

/** What is to be applied, in YAML (of which JSON is a part). Throws StatusError 400. */
export function decodeApply(body: Buffer): Decoded {
  try {
    return body[0] === 0x7b ? scanned(body) : parsedYaml(body);
  } catch (error) {
    throw badRequest(`error decoding YAML: ${(error as Error).message}`);
  }
}

/** Throws JsonSyntaxError. */
function scanned(body: Buffer): Decoded {
  const text = body.toString('utf8');
  const strictErrors = duplicateMembers(text).map((path) => `duplicate field ${JSON.stringify(path)}`);
  try {
    return { value: JSON.parse(text), strictErrors };
  } catch (error) {
    throw new JsonSyntaxError((error as Error).message);
  }
}

/** Throws any Error. */
function parsedYaml(body: Buffer): Decoded {
  const text = body.toString('utf8');
  // As in manifests: YAML 1.1. Aliases are bounded: a few lines must not become gigabytes. Warnings would go to the server's stderr.
  const options = { version: '1.1', maxAliasCount: 100, logLevel: 'error' } as const;
  try {
    return { value: parse(text, options), strictErrors: [] };
  } catch (error) {
    if (!(error instanceof YAMLParseError) || error.code !== 'DUPLICATE_KEY') throw error;
    const line = error.linePos?.[0].line ?? 0;
    const value: unknown = parse(text, { ...options, uniqueKeys: false });
    return { value, strictErrors: [`yaml: unmarshal errors:\n  line ${line}: key already set in map`] };
  }
}

function summary(body: Buffer): string {
  if (body.length === 0) return '<empty>';
  const head = body.subarray(0, SUMMARY_BYTES);
  return head.toString(body[0] === 0x7b ? 'utf8' : 'hex') + (body.length > SUMMARY_BYTES ? ' ...' : '');
}
