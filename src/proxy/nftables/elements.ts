// The elements that service ports ask for in the shared set and maps, and what the kernel holds of them. Several may ask for the
// same one (every port of a Service has its ClusterIP; two Services may claim one external IP): of verdicts the last claim
// stands. The counterpart of nftElementStorage in pkg/proxy/nftables/proxier.go, v1.34, which asks all of them at each sync.
import type { IpAddress } from '../../tcpip-ts/wire/ip-address.ts';
import type { MapElement, NftCommand } from '../either-family.ts';
import { CLUSTER_IPS, type MapName } from './frame.ts';

export type ElementClaim =
  | { readonly kind: 'cluster-ip'; readonly addr: IpAddress }
  | { readonly kind: 'map'; readonly map: MapName; readonly element: MapElement };

interface Held {
  readonly claim: ElementClaim;
  readonly text: string;
}

export class Elements {
  /** Claims by element, with the service port that makes each. */
  readonly #claims = new Map<string, { readonly owner: string; readonly claim: ElementClaim }[]>();
  readonly #held = new Map<string, Held>();
  readonly #touched = new Set<string>();

  /** Puts what a service port asks for in place of what it asked before. */
  replace(owner: string, before: readonly ElementClaim[], now: readonly ElementClaim[]): void {
    for (const claim of before) {
      const key = keyOf(claim);
      const left = this.#claims.get(key)!.filter((c) => c.owner !== owner);
      if (left.length > 0) this.#claims.set(key, left);
      else this.#claims.delete(key);
      this.#touched.add(key);
    }
    for (const claim of now) {
      const key = keyOf(claim);
      const claims = this.#claims.get(key);
      if (claims) claims.push({ owner, claim });
      else this.#claims.set(key, [{ owner, claim }]);
      this.#touched.add(key);
    }
  }

  /** The kernel's set and maps have been emptied: everything is to be added. */
  forget(): void {
    this.#held.clear();
    for (const key of this.#claims.keys()) this.#touched.add(key);
  }

  /** Commands for what was touched: to be run once the chains are there, and before stale ones go. */
  drain(): { readonly add: readonly NftCommand[]; readonly remove: readonly NftCommand[] } {
    const add: NftCommand[] = [];
    const remove: NftCommand[] = [];
    for (const key of this.#touched) {
      const claim = this.#claims.get(key)?.at(-1)?.claim;
      const held = this.#held.get(key);
      if (!claim) {
        if (held) remove.push(deletion(held.claim));
        this.#held.delete(key);
        continue;
      }
      const text = claim.kind === 'map' ? JSON.stringify(claim.element.verdict) : '';
      if (held?.text === text) continue;
      if (held) add.push(deletion(held.claim));
      add.push(addition(claim));
      this.#held.set(key, { claim, text });
    }
    this.#touched.clear();
    return { add, remove };
  }
}

function keyOf(claim: ElementClaim): string {
  if (claim.kind === 'cluster-ip') return `${claim.addr}`;
  const { addr, proto, port } = claim.element;
  return `${claim.map} ${addr} ${proto} ${port}`;
}

function addition(claim: ElementClaim): NftCommand {
  return claim.kind === 'cluster-ip'
    ? { command: 'add-set-element', set: CLUSTER_IPS, addr: claim.addr }
    : { command: 'add-map-element', map: claim.map, element: claim.element };
}

function deletion(claim: ElementClaim): NftCommand {
  return claim.kind === 'cluster-ip'
    ? { command: 'delete-set-element', set: CLUSTER_IPS, addr: claim.addr }
    : { command: 'delete-map-element', map: claim.map, key: claim.element };
}
