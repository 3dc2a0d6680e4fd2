// Where others learn how to check service account tokens: OpenID Connect discovery. After kubernetes/pkg/serviceaccount
// (openidmetadata.go) and pkg/routes/openidmetadata.go. Whoever may read it: the role system:service-account-issuer-discovery.

export const OPENID_CONFIGURATION = '/.well-known/openid-configuration';
export const OPENID_KEYS = '/openid/v1/jwks';

export function openIdConfiguration(issuer: string): unknown {
  return {
    issuer,
    jwks_uri: `${issuer}${OPENID_KEYS}`,
    response_types_supported: ['id_token'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['ES256'],
  };
}
