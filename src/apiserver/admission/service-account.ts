// The ServiceAccount plugin: a new Pod runs as an account that exists, `default` where it names none, and its containers find a
// token for it, the cluster's CA and the Namespace in the usual place. After kubernetes/plugin/pkg/admission/serviceaccount.
// Left out: mirror Pods, and accounts that limit which Secrets their Pods may mount.
import type { Container, Pod, ServiceAccount, Volume } from '../../api/core-v1.ts';
import { generateName } from '../../api/names.ts';
import { PODS, SERVICEACCOUNTS } from '../../api/resources.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Rng } from '../../lib/rng.ts';
import { type AdmissionPlugin, forbidden, type Lookup } from './admission.ts';

const DEFAULT = 'default';
const VOLUME = 'kube-api-access-';
const MOUNT_PATH = '/var/run/secrets/kubernetes.io/serviceaccount';
/** An hour, and seven seconds by which the server knows that a kubelet asks. */
const TOKEN_SECONDS = 3607;
/** The controller makes `default` soon after its Namespace: it is looked for again, as by the real server. */
const TRIES = 10;
const RETRY_US = 100_000;

export function serviceAccountAdmission(clock: Clock, rng: Rng): AdmissionPlugin {
  return {
    name: 'ServiceAccount',
    async admit({ operation, type, subresource, draft, namespace = '' }, lookup): Promise<void> {
      if (operation !== 'CREATE' || type !== PODS || subresource || !draft) return;
      const pod = draft as Pod;
      const { spec } = pod;
      spec.serviceAccountName ||= spec.serviceAccount || DEFAULT;
      spec.serviceAccount = spec.serviceAccountName;
      const name = spec.serviceAccountName;
      const account = await findAccount(lookup, clock, rng, namespace, name);
      if (!account) {
        const why = `error looking up service account ${namespace}/${name}: serviceaccount "${name}" not found`;
        throw forbidden(PODS, pod.metadata.name ?? '', why);
      }
      if (spec.automountServiceAccountToken ?? account.automountServiceAccountToken ?? true) mountToken(pod, rng);
      const secrets = account.imagePullSecrets ?? [];
      if (!spec.imagePullSecrets?.length && secrets.length > 0) {
        spec.imagePullSecrets = secrets.map((secret) => ({ ...secret }));
      }
    },
  };
}

async function findAccount(
  lookup: Lookup,
  clock: Clock,
  rng: Rng,
  namespace: string,
  name: string,
): Promise<ServiceAccount | undefined> {
  const tries = name === DEFAULT ? TRIES : 1;
  for (let i = 1; ; i++) {
    const account = await lookup.find(SERVICEACCOUNTS, namespace, name);
    if (account || i >= tries) return account;
    const waitUs = RETRY_US + rng.below(RETRY_US);
    await new Promise<void>((resolve) => {
      clock.after(waitUs, resolve);
    });
  }
}

function mountToken({ spec }: Pod, rng: Rng): void {
  const volumes = spec.volumes ?? [];
  // Not validated yet: a volume may lack its name.
  const there = volumes.find((volume) => volume.name?.startsWith(VOLUME));
  const name = there?.name ?? generateName(VOLUME, rng);
  let mounted = false;
  const mount = (container: Container): void => {
    if (container.volumeMounts?.some(({ mountPath }) => mountPath === MOUNT_PATH)) return;
    container.volumeMounts = [...(container.volumeMounts ?? []), { name, readOnly: true, mountPath: MOUNT_PATH }];
    mounted = true;
  };
  for (const container of [...(spec.initContainers ?? []), ...spec.containers]) mount(container);
  if (!there && mounted) spec.volumes = [...volumes, tokenVolume(name)];
}

function tokenVolume(name: string): Volume {
  return {
    name,
    projected: {
      sources: [
        { serviceAccountToken: { expirationSeconds: TOKEN_SECONDS, path: 'token' } },
        { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
        {
          downwardAPI: {
            items: [{ path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } }],
          },
        },
      ],
      defaultMode: 0o644,
    },
  };
}
