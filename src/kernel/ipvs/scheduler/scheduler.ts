// How a virtual service picks the real server of a new connection: the one interface of all schedulers, after struct
// ip_vs_scheduler. Every scheduler walks the service's list from its head, which holds the newest dest.
import type { Dest } from '../dest.ts';
import type { VirtualService } from '../service.ts';

/** IP_VS_SVC_F_*: what a service's `flags` may hold. */
export const SVC_F_PERSISTENT = 0x1;
export const SVC_F_ONEPACKET = 0x4;
/** IP_VS_SVC_F_SCHED1: sh-fallback, mh-fallback. */
export const SVC_F_FALLBACK = 0x8;
/** IP_VS_SVC_F_SCHED2: sh-port, mh-port. */
export const SVC_F_PORT = 0x10;

/** A dest with the share of new connections that it gets. */
export interface Share {
  readonly dest: Dest;
  readonly probability: number;
}

export interface Scheduler {
  readonly name: string;
  /**
   * The dest for a new connection from saddr:sport to daddr (words, signed or not), or null: refused. Allocates nothing.
   * State (a cursor) moves only when a dest is found.
   */
  schedule(saddr: number, sport: number, daddr: number): Dest | null;
  /** After the service's list changed: a dest was linked in, unlinked, or its weight or thresholds were set. */
  destAdded(dest: Dest): void;
  destRemoved(dest: Dest): void;
  destUpdated(dest: Dest): void;
  /**
   * Who a new connection from `saddr` may get and how likely, over many connections and without moving any state. Where
   * the source port takes part in the choice and is not known (undefined), over all ports.
   */
  shares(saddr: number, sport: number | undefined, daddr: number): Share[];
  /** Lets go of the dests it refers to. */
  close(): void;
}

export type SchedulerFactory = (svc: VirtualService) => Scheduler;

/** Whether a dest takes new connections: the test all schedulers make. */
export function isUsable(dest: Dest): boolean {
  return dest.weight > 0 && !dest.overloaded;
}

/** Equal shares for all dests of the list that take connections. */
export function equalShares(svc: VirtualService): Share[] {
  const usable: Dest[] = [];
  for (let dest = svc.head; dest; dest = dest.next) if (isUsable(dest)) usable.push(dest);
  return usable.map((dest) => ({ dest, probability: 1 / usable.length }));
}

/** Shares from one pick for each of many possible keys. */
export function tallyShares(picks: Iterable<Dest | null>): Share[] {
  const counts = new Map<Dest, number>();
  let total = 0;
  for (const dest of picks) {
    total++;
    if (dest) counts.set(dest, (counts.get(dest) ?? 0) + 1);
  }
  return [...counts].map(([dest, count]) => ({ dest, probability: count / total }));
}
