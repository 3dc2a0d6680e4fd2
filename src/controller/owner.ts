// Controller references: at most one owner of an object is its controller. After apimachinery
// pkg/apis/meta/v1/controller_ref.go.
import { apiVersionOf, type KubeObject, type OwnerReference, type ResourceType } from '../api/meta.ts';

export function controllerOf(object: KubeObject): OwnerReference | undefined {
  return object.metadata.ownerReferences?.find((o) => o.controller === true);
}

export function controllerRef(owner: KubeObject, type: ResourceType): OwnerReference {
  return {
    apiVersion: apiVersionOf(type),
    kind: type.kind,
    name: owner.metadata.name!,
    uid: owner.metadata.uid!,
    controller: true,
    blockOwnerDeletion: true,
  };
}
