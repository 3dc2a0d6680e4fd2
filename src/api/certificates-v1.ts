// certificates.k8s.io/v1: somebody asks for a certificate, somebody else approves, a signer issues it. Shapes follow
// k8s.io/api/certificates/v1.
import type { KubeObject } from './meta.ts';

export const CLIENT_SIGNER = 'kubernetes.io/kube-apiserver-client';

export interface CertificateCondition {
  type: string;
  status: string;
  reason?: string;
  message?: string;
  lastUpdateTime?: string;
  lastTransitionTime?: string;
}

export interface CertificateSigningRequest extends KubeObject {
  spec: {
    /** base64 of PEM, PKCS #10. */
    request: string;
    signerName: string;
    expirationSeconds?: number;
    usages?: string[];
    /** Who asks: the server's word. */
    username?: string;
    uid?: string;
    groups?: string[];
    extra?: Record<string, string[]>;
  };
  status?: {
    conditions?: CertificateCondition[];
    /** base64 of PEM. */
    certificate?: string;
  };
}

export function hasCondition({ status }: CertificateSigningRequest, type: string): boolean {
  return status?.conditions?.some((condition) => condition.type === type) ?? false;
}
