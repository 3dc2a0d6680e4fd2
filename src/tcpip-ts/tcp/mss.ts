// How much one segment, and one packet for the link to cut, may carry. After Linux's tcp_sync_mss.
import { LINK_F_CSUM, LINK_F_TSO4 } from '../link.ts';
import type { Connection } from './connection.ts';
import { TIMESTAMP_LEN } from './options.ts';
import { GSO_MAX_PAYLOAD, MSS_MIN, PMTU_MIN } from './tunables.ts';

/** Bounds segments by what the peer takes and the path carries; `mtu` 0: as the route says. */
export function refreshRoute(c: Connection, mtu: number): void {
  const route = c.layer.ip.route(c.raddr);
  if (route) {
    c.features = route.features;
    c.pathMtu = mtu > 0 ? Math.min(route.mtu, Math.max(mtu, PMTU_MIN)) : route.mtu;
  }
  setMss(c);
}

/** Derives mss and maxPayload from peerMss, pathMtu, features and options. Cuts records of the old size as they are resent. */
export function setMss(c: Connection): void {
  const options = c.tsOk ? TIMESTAMP_LEN : 0;
  const mss = Math.max(8, Math.min(Math.max(MSS_MIN, c.peerMss - options), c.pathMtu - 40 - options));
  const offload = LINK_F_CSUM | LINK_F_TSO4;
  const pieces = (c.features & offload) === offload ? Math.max(1, Math.floor(GSO_MAX_PAYLOAD / mss)) : 1;
  c.mss = mss;
  c.maxPayload = mss * pieces;
}
