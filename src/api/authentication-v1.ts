// authentication.k8s.io/v1 TokenRequest: what serviceaccounts/NAME/token takes and gives. Shapes follow k8s.io/api/authentication/v1.
import type { KubeObject } from './meta.ts';

export interface BoundObjectReference {
  kind?: string;
  apiVersion?: string;
  name?: string;
  uid?: string;
}

export interface TokenRequestSpec {
  /** Empty: the API server itself. */
  audiences?: string[];
  expirationSeconds?: number;
  /** The token ends with this object. */
  boundObjectRef?: BoundObjectReference | null;
}

export interface TokenRequest extends KubeObject {
  spec: TokenRequestSpec;
  status: { token: string; expirationTimestamp: string };
}
