// The schema of certificates.k8s.io/v1.
import { object } from './meta.ts';
import { bytes, int32, keyed, list, map, string, struct, time } from './schema.ts';

export const CERTIFICATESIGNINGREQUEST = object('CertificateSigningRequest', {
  spec: struct('CertificateSigningRequestSpec', {
    request: bytes,
    signerName: string,
    expirationSeconds: int32,
    usages: list(string),
    username: string,
    uid: string,
    groups: list(string),
    extra: map(list(string)),
  }),
  status: struct('CertificateSigningRequestStatus', {
    conditions: keyed(
      struct('CertificateSigningRequestCondition', {
        type: string,
        status: string,
        reason: string,
        message: string,
        lastUpdateTime: time,
        lastTransitionTime: time,
      }),
      ['type'],
    ),
    certificate: bytes,
  }),
});
