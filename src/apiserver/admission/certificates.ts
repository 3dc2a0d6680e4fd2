// What admission has to say about CertificateSigningRequests: who asks is who sends; approving and signing take a right on the signer;
// nobody gets into system:masters this way. After kubernetes/plugin/pkg/admission/certificates and the strategy's PrepareForCreate.
import { type CertificateSigningRequest, CLIENT_SIGNER } from '../../api/certificates-v1.ts';
import { CERTIFICATESIGNINGREQUESTS } from '../../api/resources.ts';
import { parseRequest } from '../auth/certificates.ts';
import type { Authorizer } from '../auth/rbac/authorizer.ts';
import { MASTERS, type User } from '../auth/user.ts';
import { type AdmissionPlugin, forbidden } from './admission.ts';

export function certificateAdmission(authorizer: Authorizer): AdmissionPlugin {
  return {
    name: 'Certificates',
    async admit({ operation, type, subresource, draft, old, name, user }): Promise<void> {
      if (type !== CERTIFICATESIGNINGREQUESTS || !draft) return;
      if (operation === 'CREATE') {
        const { spec } = draft as CertificateSigningRequest;
        if (spec) stamp(spec, user);
      } else if (subresource === 'approval' || subresource === 'status') {
        const { signerName } = (old as CertificateSigningRequest).spec;
        const verb = subresource === 'approval' ? 'approve' : 'sign';
        if (await mayUse(authorizer, user, verb, signerName)) return;
        throw forbidden(
          type,
          name,
          `user not permitted to ${verb} requests with signerName ${JSON.stringify(signerName)}`,
        );
      }
    },
    validate({ operation, type, draft, name }): void {
      if (type !== CERTIFICATESIGNINGREQUESTS || operation !== 'CREATE') return;
      const { signerName, request } = (draft as CertificateSigningRequest).spec;
      if (signerName !== CLIENT_SIGNER || !parseRequest(request).organizations.includes(MASTERS)) return;
      throw forbidden(type, name, `use of ${CLIENT_SIGNER} signer with ${MASTERS} group is not allowed`);
    },
  };
}

function stamp(spec: CertificateSigningRequest['spec'], { name, uid, groups, extra }: User): void {
  spec.username = name;
  spec.groups = [...groups];
  delete spec.uid;
  delete spec.extra;
  if (uid) spec.uid = uid;
  if (extra) spec.extra = Object.fromEntries(Object.entries(extra).map(([key, values]) => [key, [...values]]));
}

/** On the signer itself, or on all of its domain. */
async function mayUse(authorizer: Authorizer, user: User, verb: string, signer: string): Promise<boolean> {
  const ask = (name: string) =>
    authorizer.decide({ user, verb, group: CERTIFICATESIGNINGREQUESTS.group, resource: 'signers', name });
  const domain = `${signer.slice(0, signer.indexOf('/'))}/*`;
  return (await ask(signer)).allowed || (await ask(domain)).allowed;
}
