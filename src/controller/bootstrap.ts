// What a cluster has before anybody asks for anything: its Namespaces, the RuntimeClasses and the cluster DNS. What is there
// already, from an earlier run on the same store, is left as it is.
import type { Namespace } from '../api/core-v1.ts';
import type { KubeObject } from '../api/meta.ts';
import { NAMESPACES, resourceOfKind } from '../api/resources.ts';
import type { ApiClient } from '../client/client.ts';
import { tolerate } from './control-loop.ts';
import { kubeSystemManifests, objectsOf, RUNTIME_CLASSES } from './kube-system.ts';

export interface BootstrapOptions {
  /** ClusterIP of kube-dns; default 10.96.0.10. */
  readonly clusterDNS?: string;
  /** Default `cluster.local`. */
  readonly clusterDomain?: string;
  /** Default 2, as kubeadm's. */
  readonly coreDNSReplicas?: number;
}

const SYSTEM_NAMESPACES = ['default', 'kube-system', 'kube-public', 'kube-node-lease'];

/** Resolves when everything has been created; nothing runs yet. */
export async function bootstrap(client: ApiClient, options: BootstrapOptions = {}): Promise<void> {
  const { clusterDNS = '10.96.0.10', clusterDomain = 'cluster.local', coreDNSReplicas = 2 } = options;
  await Promise.all(
    SYSTEM_NAMESPACES.map((name) => {
      const namespace: Namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
      return tolerate(client.create(NAMESPACES, namespace), 'AlreadyExists');
    }),
  );
  const texts = [RUNTIME_CLASSES, kubeSystemManifests({ clusterDNS, clusterDomain, coreDNSReplicas })];
  await Promise.all(texts.flatMap(objectsOf).map((object) => create(client, object)));
}

async function create(client: ApiClient, object: KubeObject): Promise<void> {
  const type = resourceOfKind(object.apiVersion, object.kind)!;
  try {
    await tolerate(client.create(type, object), 'AlreadyExists');
  } catch (error) {
    // kube-dns of an earlier run holds its address.
    const { namespace, name } = object.metadata;
    await client.get(type, namespace, name!).catch(() => {
      throw error;
    });
  }
}
