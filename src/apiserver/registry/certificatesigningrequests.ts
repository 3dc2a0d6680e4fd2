// CertificateSigningRequests: what is asked for never changes; conditions come by the subresource `approval`, the certificate by
// `status`. After kubernetes/pkg/registry/certificates/certificates/strategy.go and pkg/apis/certificates/validation.
import type { CertificateCondition, CertificateSigningRequest } from '../../api/certificates-v1.ts';
import { dns1123SubdomainErrors } from '../../api/names.ts';
import { CERTIFICATESIGNINGREQUESTS } from '../../api/resources.ts';
import { clone } from '../../lib/tree.ts';
import { parseRequest } from '../auth/certificates.ts';
import type { Strategy } from './strategy.ts';

const MIN_SECONDS = 600;

export const certificateSigningRequestStrategy: Strategy<CertificateSigningRequest> = {
  type: CERTIFICATESIGNINGREQUESTS,
  nameErrors: dns1123SubdomainErrors,
  prepareForCreate(request) {
    request.status = {};
  },
  prepareForUpdate(request, old) {
    request.spec = clone(old.spec);
  },
  validate({ spec }, errors) {
    const { request = '', signerName = '', usages = [], expirationSeconds } = spec ?? {};
    const problem = parseRequest(request).problem;
    if (problem) errors.invalid('spec.request', request, problem);
    if (usages.length === 0) errors.required('spec.usages');
    if (signerName === '') errors.required('spec.signerName');
    else if (!/^[a-z0-9.-]+\.[a-z0-9.-]+\/[A-Za-z0-9._-]+$/.test(signerName)) {
      errors.invalid(
        'spec.signerName',
        signerName,
        "must be a fully qualified domain and path of the form 'example.com/signer-name'",
      );
    }
    if (expirationSeconds !== undefined && expirationSeconds < MIN_SECONDS) {
      errors.invalid(
        'spec.expirationSeconds',
        expirationSeconds,
        'may not specify a duration less than 600 seconds (10 minutes)',
      );
    }
  },
  status: {},
  subresources: {
    approval(input, old, now) {
      const request = clone(old) as CertificateSigningRequest;
      request.status = { ...request.status, conditions: stamped(input.status?.conditions ?? [], now) };
      return request;
    },
  },
  fields: { 'spec.signerName': ({ spec }) => spec?.signerName ?? '' },
};

function stamped(conditions: readonly CertificateCondition[], now: string): CertificateCondition[] {
  return conditions.map((condition) => ({
    ...condition,
    lastUpdateTime: condition.lastUpdateTime ?? now,
    lastTransitionTime: condition.lastTransitionTime ?? now,
  }));
}
