// Service account tokens: JWTs (RFC 7519) that this server signs with ES256 and takes as bearer tokens. After
// kubernetes/pkg/serviceaccount (claims.go, jwt.go). A token ends with its time, with its account, and with the Pod, Secret or
// Node that it is bound to. Left out: other audiences' tokens as credentials (they are issued, and refused here).
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomUUID,
  sign,
  verify,
} from 'node:crypto';
import type { ServiceAccount } from '../../api/core-v1.ts';
import type { ResourceType, Stored } from '../../api/meta.ts';
import { NODES, PODS, SECRETS, SERVICEACCOUNTS } from '../../api/resources.ts';
import type { Lookup } from '../admission/admission.ts';
import { CREDENTIAL_ID, serviceAccountGroups, serviceAccountUser, type User } from './user.ts';

const ALGORITHM = 'ES256';
/** Checking a signature costs more than the rest of a small request: a client's token is checked once. */
const MAX_KNOWN = 1000;
export const ISSUER = 'https://kubernetes.default.svc.cluster.local';

/** What a token may be bound to, by the claim's name. */
export const BINDABLE = { pod: PODS, node: NODES, secret: SECRETS } as const;
/** A deleted Pod's token holds on a little: its containers are still ending. */
const DELETED_LEEWAY_MS = 60_000;

interface Reference {
  readonly name: string;
  readonly uid: string;
}

/** A Pod's token names its Node as well. */
export type Bound = Partial<Readonly<Record<keyof typeof BINDABLE, Reference>>>;

interface Claims {
  readonly aud: readonly string[];
  readonly exp: number;
  readonly iat: number;
  readonly iss: string;
  readonly jti: string;
  readonly 'kubernetes.io': Bound & {
    readonly namespace: string;
    readonly serviceaccount: Reference;
    readonly warnafter?: number;
  };
  readonly nbf: number;
  readonly sub: string;
}

export interface TokenTimes {
  readonly seconds: number;
  /** Old after this, although it still holds: a Pod's token, for programs that read it only once. */
  readonly warnAfterSeconds?: number;
}

export class ServiceAccountTokens {
  readonly #privateKey: KeyObject;
  readonly #publicKey: KeyObject;
  readonly #keyId: string;
  readonly #header: string;
  /** What good signatures vouch for, the latest last. Time and what the token is bound to are looked at each time. */
  readonly #known = new Map<string, Claims>();

  /** `privateKey`: PEM, PKCS #8, of a P-256 key; a new one when left out: then no token outlives the server. */
  constructor(privateKey: string = newSigningKey()) {
    this.#privateKey = createPrivateKey(privateKey);
    this.#publicKey = createPublicKey(this.#privateKey);
    const spki = this.#publicKey.export({ type: 'spki', format: 'der' });
    this.#keyId = createHash('sha256').update(spki).digest('base64url');
    this.#header = encode({ alg: ALGORITHM, kid: this.#keyId });
  }

  /** For those who check tokens themselves: a JSON Web Key Set (RFC 7517). */
  keySet(): unknown {
    const { kty, crv, x, y } = this.#publicKey.export({ format: 'jwk' });
    return { keys: [{ use: 'sig', kty, kid: this.#keyId, alg: ALGORITHM, crv, x, y }] };
  }

  issue(
    account: Stored<ServiceAccount>,
    audiences: readonly string[],
    { seconds, warnAfterSeconds }: TokenTimes,
    bound: Bound,
    nowMs: number,
  ): string {
    const now = Math.floor(nowMs / 1000);
    const { name, uid, namespace = '' } = account.metadata;
    const claims: Claims = {
      aud: audiences.length > 0 ? audiences : [ISSUER],
      exp: now + seconds,
      iat: now,
      iss: ISSUER,
      jti: randomUUID(),
      'kubernetes.io': {
        namespace,
        ...bound,
        serviceaccount: { name, uid },
        ...(warnAfterSeconds === undefined ? {} : { warnafter: now + warnAfterSeconds }),
      },
      nbf: now,
      sub: serviceAccountUser(namespace, name),
    };
    const signed = `${this.#header}.${encode(claims)}`;
    const key = { key: this.#privateKey, dsaEncoding: 'ieee-p1363' as const };
    return `${signed}.${sign('sha256', Buffer.from(signed), key).toString('base64url')}`;
  }

  /** undefined: not a token of ours, too old, or its account or the object that it is bound to is gone. */
  async authenticate(token: string, lookup: Lookup, nowMs: number): Promise<User | undefined> {
    const claims = this.#known.get(token) ?? this.#verified(token);
    if (!claims?.aud.includes(ISSUER) || claims.iss !== ISSUER) return undefined;
    const now = nowMs / 1000;
    if (now >= claims.exp || now < claims.nbf) return undefined;
    const { namespace, serviceaccount, ...bound } = claims['kubernetes.io'];
    if (!(await isThere(lookup, SERVICEACCOUNTS, namespace, serviceaccount, nowMs))) return undefined;
    for (const [kind, type] of Object.entries(BINDABLE)) {
      const reference = bound[kind as keyof Bound];
      // A Pod's Node may go before it.
      if (!reference || (kind === 'node' && bound.pod)) continue;
      if (!(await isThere(lookup, type, namespace, reference, nowMs))) return undefined;
    }
    return {
      name: claims.sub,
      uid: serviceaccount.uid,
      groups: serviceAccountGroups(namespace),
      extra: extraOf(claims.jti, bound),
    };
  }

  /** What we signed can be trusted to have the shape we gave it. */
  #verified(token: string): Claims | undefined {
    const [header, payload, signature, ...rest] = token.split('.');
    if (header !== this.#header || !payload || !signature || rest.length > 0) return undefined;
    const key = { key: this.#publicKey, dsaEncoding: 'ieee-p1363' as const };
    const bytes = Buffer.from(`${header}.${payload}`);
    if (!verify('sha256', bytes, key, Buffer.from(signature, 'base64url'))) return undefined;
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Claims;
    if (this.#known.size >= MAX_KNOWN) this.#known.delete(this.#known.keys().next().value!);
    this.#known.set(token, claims);
    return claims;
  }
}

/** PEM of a new private key. */
export function newSigningKey(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
}

async function isThere(
  lookup: Lookup,
  type: ResourceType,
  namespace: string,
  { name, uid }: Reference,
  nowMs: number,
): Promise<boolean> {
  const object = await lookup.find(type, type.namespaced ? namespace : undefined, name);
  if (object?.metadata.uid !== uid) return false;
  const { deletionTimestamp } = object.metadata;
  return deletionTimestamp === undefined || Date.parse(deletionTimestamp) + DELETED_LEEWAY_MS > nowMs;
}

function extraOf(jti: string, { pod, node }: Bound): Record<string, string[]> {
  const prefix = 'authentication.kubernetes.io/';
  return {
    [CREDENTIAL_ID]: [`JTI=${jti}`],
    ...(node ? { [`${prefix}node-name`]: [node.name], [`${prefix}node-uid`]: [node.uid] } : {}),
    ...(pod ? { [`${prefix}pod-name`]: [pod.name], [`${prefix}pod-uid`]: [pod.uid] } : {}),
  };
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
