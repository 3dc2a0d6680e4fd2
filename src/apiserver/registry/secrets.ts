// Secrets: `stringData` is merged into `data` and not kept. After kubernetes/pkg/registry/core/secret.
import type { Secret } from '../../api/core-v1.ts';
import { dns1123SubdomainErrors } from '../../api/names.ts';
import { SECRETS } from '../../api/resources.ts';
import { validateSecret, validateSecretUpdate } from '../../api/validation/data.ts';
import type { Strategy } from './strategy.ts';

export const secretStrategy: Strategy<Secret> = {
  type: SECRETS,
  nameErrors: dns1123SubdomainErrors,
  defaults(secret) {
    for (const [key, value] of Object.entries(secret.stringData ?? {})) {
      secret.data = { ...secret.data, [key]: Buffer.from(value).toString('base64') };
    }
    delete secret.stringData;
    secret.type ??= 'Opaque';
  },
  validate: validateSecret,
  validateUpdate: validateSecretUpdate,
  fields: { type: (secret) => secret.type ?? '' },
};
