// Service account tokens: JWTs (RFC 7519) that this server signs with ES256 and takes as bearer tokens. After
// k8s.io/kubernetes/pkg/serviceaccount (claims.go, jwt.go). The key is made with the server: tokens do not outlive it.
// Left out: tokens bound to Pods and Secrets, other audiences' tokens as credentials (they are issued, and refused here).
import { generateKeyPairSync, type KeyObject, randomUUID, sign, verify } from 'node:crypto';
import type { ServiceAccount } from '../../api/core-v1.ts';
import type { Stored } from '../../api/meta.ts';
import type { User } from '../admission/admission.ts';

export const ISSUER = 'https://kubernetes.default.svc.cluster.local';

/** As the real server: a token lives an hour unless asked otherwise, and ten minutes at least. */
export const DEFAULT_SECONDS = 3600;
export const MIN_SECONDS = 600;
export const MAX_SECONDS = 2 ** 32;

interface Claims {
  readonly aud: readonly string[];
  readonly exp: number;
  readonly iat: number;
  readonly iss: string;
  readonly jti: string;
  readonly 'kubernetes.io': {
    readonly namespace: string;
    readonly serviceaccount: { readonly name: string; readonly uid: string };
  };
  readonly nbf: number;
  readonly sub: string;
}

/** The account with this name now; undefined when there is none. */
export type FindAccount = (namespace: string, name: string) => Promise<Stored<ServiceAccount> | undefined>;

const HEADER = encode({ alg: 'ES256', typ: 'JWT' });

export class ServiceAccountTokens {
  readonly #privateKey: KeyObject;
  readonly #publicKey: KeyObject;

  constructor() {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    this.#privateKey = privateKey;
    this.#publicKey = publicKey;
  }

  issue(account: Stored<ServiceAccount>, audiences: readonly string[], seconds: number, nowMs: number): string {
    const now = Math.floor(nowMs / 1000);
    const { name, uid, namespace = '' } = account.metadata;
    const claims: Claims = {
      aud: audiences.length > 0 ? audiences : [ISSUER],
      exp: now + seconds,
      iat: now,
      iss: ISSUER,
      jti: randomUUID(),
      'kubernetes.io': { namespace, serviceaccount: { name, uid } },
      nbf: now,
      sub: `system:serviceaccount:${namespace}:${name}`,
    };
    const signed = `${HEADER}.${encode(claims)}`;
    const key = { key: this.#privateKey, dsaEncoding: 'ieee-p1363' as const };
    return `${signed}.${sign('sha256', Buffer.from(signed), key).toString('base64url')}`;
  }

  /** undefined: not a token of ours, too old, or its account is gone. */
  async authenticate(token: string, find: FindAccount, nowMs: number): Promise<User | undefined> {
    const claims = this.#verified(token);
    if (!claims?.aud.includes(ISSUER) || claims.iss !== ISSUER) return undefined;
    const now = nowMs / 1000;
    if (now >= claims.exp || now < claims.nbf) return undefined;
    const { namespace, serviceaccount } = claims['kubernetes.io'];
    const account = await find(namespace, serviceaccount.name);
    if (account?.metadata.uid !== serviceaccount.uid) return undefined;
    const groups = ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'];
    return { name: claims.sub, uid: serviceaccount.uid, groups };
  }

  /** What we signed can be trusted to have the shape we gave it. */
  #verified(token: string): Claims | undefined {
    const [header, payload, signature, ...rest] = token.split('.');
    if (header !== HEADER || !payload || !signature || rest.length > 0) return undefined;
    const key = { key: this.#publicKey, dsaEncoding: 'ieee-p1363' as const };
    const bytes = Buffer.from(`${header}.${payload}`);
    if (!verify('sha256', bytes, key, Buffer.from(signature, 'base64url'))) return undefined;
    return JSON.parse(Buffer.from(payload, 'base64url').toString()) as Claims;
  }
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
