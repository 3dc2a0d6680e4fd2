// Who owns whom, by UID, as the watches tell it. After pkg/controller/garbagecollector/{graph.go,graph_builder.go} (1.32).
// An owner that has been named but not seen is in the graph without an object.
import type { KubeObject, ResourceType, Stored } from '../../api/meta.ts';
import { FINALIZER_FOREGROUND, hasFinalizer } from './finalizers.ts';

export interface GraphNode {
  readonly uid: string;
  type: ResourceType | undefined;
  object: Stored | undefined;
  readonly dependents: Set<GraphNode>;
}

export class OwnerGraph {
  readonly #nodes = new Map<string, GraphNode>();

  get(uid: string): GraphNode | undefined {
    return this.#nodes.get(uid);
  }

  /** Takes in a new state of an object. */
  put(type: ResourceType, object: Stored): GraphNode {
    const node = this.#at(object.metadata.uid);
    const before = new Set(ownerUids(node.object));
    node.type = type;
    node.object = object;
    const after = new Set(ownerUids(object));
    for (const uid of before) if (!after.has(uid)) this.#unlink(uid, node);
    for (const uid of after) this.#at(uid).dependents.add(node);
    return node;
  }

  /** The object is gone. Its dependents stay, and it is no longer known. */
  remove(uid: string): GraphNode | undefined {
    const node = this.#nodes.get(uid);
    if (!node) return undefined;
    for (const owner of ownerUids(node.object)) this.#unlink(owner, node);
    node.object = undefined;
    if (node.dependents.size === 0) this.#nodes.delete(uid);
    return node;
  }

  #at(uid: string): GraphNode {
    let node = this.#nodes.get(uid);
    if (!node) this.#nodes.set(uid, (node = { uid, type: undefined, object: undefined, dependents: new Set() }));
    return node;
  }

  #unlink(ownerUid: string, dependent: GraphNode): void {
    const owner = this.#nodes.get(ownerUid);
    if (!owner) return;
    owner.dependents.delete(dependent);
    if (!owner.object && owner.dependents.size === 0) this.#nodes.delete(ownerUid);
  }
}

export function ownerUids(object: KubeObject | undefined): string[] {
  return (object?.metadata.ownerReferences ?? []).map((o) => o.uid);
}

/** Being deleted in the foreground: it waits for its dependents. */
export function waitsForDependents(object: KubeObject | undefined): boolean {
  return object?.metadata.deletionTimestamp !== undefined && hasFinalizer(object, FINALIZER_FOREGROUND);
}
