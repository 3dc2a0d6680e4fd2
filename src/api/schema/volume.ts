// Schema of a Pod's volumes: k8s.io/api/core/v1. Sources that were dropped from Kubernetes long ago, or that need a cloud, are `any`.
import { FIELD_REF, RESOURCE_FIELD_REF } from './container.ts';
import { LABEL_SELECTOR, LOCAL_OBJECT_REFERENCE, OBJECT_META } from './meta.ts';
import { any, atomic, bool, int32, int64, list, map, quantity, string, struct } from './schema.ts';

const ITEMS = list(struct('KeyToPath', { key: string, path: string, mode: int32 }));
const DOWNWARD_ITEMS = list(
  struct('DownwardAPIVolumeFile', {
    path: string,
    fieldRef: FIELD_REF,
    resourceFieldRef: RESOURCE_FIELD_REF,
    mode: int32,
  }),
);

const TYPED_REFERENCE = { apiGroup: string, kind: string, name: string };

const CLAIM_SPEC = struct('PersistentVolumeClaimSpec', {
  accessModes: list(string),
  selector: LABEL_SELECTOR,
  resources: struct('VolumeResourceRequirements', { limits: map(quantity), requests: map(quantity) }),
  volumeName: string,
  storageClassName: string,
  volumeMode: string,
  dataSource: atomic(struct('TypedLocalObjectReference', TYPED_REFERENCE)),
  dataSourceRef: struct('TypedObjectReference', { ...TYPED_REFERENCE, namespace: string }),
  volumeAttributesClassName: string,
});

const PROJECTION = struct('VolumeProjection', {
  secret: struct('SecretProjection', { name: string, items: ITEMS, optional: bool }),
  downwardAPI: struct('DownwardAPIProjection', { items: DOWNWARD_ITEMS }),
  configMap: struct('ConfigMapProjection', { name: string, items: ITEMS, optional: bool }),
  serviceAccountToken: struct('ServiceAccountTokenProjection', {
    audience: string,
    expirationSeconds: int64,
    path: string,
  }),
  clusterTrustBundle: struct('ClusterTrustBundleProjection', {
    name: string,
    signerName: string,
    labelSelector: LABEL_SELECTOR,
    optional: bool,
    path: string,
  }),
  podCertificate: any,
});

/** The kinds of volumes; a Volume names one of them. */
export const VOLUME_SOURCES = {
  hostPath: struct('HostPathVolumeSource', { path: string, type: string }),
  emptyDir: struct('EmptyDirVolumeSource', { medium: string, sizeLimit: quantity }),
  configMap: struct('ConfigMapVolumeSource', { name: string, items: ITEMS, defaultMode: int32, optional: bool }),
  secret: struct('SecretVolumeSource', { secretName: string, items: ITEMS, defaultMode: int32, optional: bool }),
  projected: struct('ProjectedVolumeSource', { sources: list(PROJECTION), defaultMode: int32 }),
  downwardAPI: struct('DownwardAPIVolumeSource', { items: DOWNWARD_ITEMS, defaultMode: int32 }),
  persistentVolumeClaim: struct('PersistentVolumeClaimVolumeSource', { claimName: string, readOnly: bool }),
  ephemeral: struct('EphemeralVolumeSource', {
    volumeClaimTemplate: struct('PersistentVolumeClaimTemplate', { metadata: OBJECT_META, spec: CLAIM_SPEC }),
  }),
  image: struct('ImageVolumeSource', { reference: string, pullPolicy: string }),
  nfs: struct('NFSVolumeSource', { server: string, path: string, readOnly: bool }),
  csi: struct('CSIVolumeSource', {
    driver: string,
    readOnly: bool,
    fsType: string,
    volumeAttributes: map(string),
    nodePublishSecretRef: LOCAL_OBJECT_REFERENCE,
  }),
  iscsi: any,
  gitRepo: any,
  glusterfs: any,
  rbd: any,
  flexVolume: any,
  cinder: any,
  cephfs: any,
  flocker: any,
  fc: any,
  azureFile: any,
  azureDisk: any,
  vsphereVolume: any,
  quobyte: any,
  photonPersistentDisk: any,
  portworxVolume: any,
  scaleIO: any,
  storageos: any,
  gcePersistentDisk: any,
  awsElasticBlockStore: any,
} as const;

export const VOLUME = struct('Volume', { name: string, ...VOLUME_SOURCES });
