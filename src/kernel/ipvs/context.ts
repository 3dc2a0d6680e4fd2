// What IPVS does with packets (in.ts, out.ts, icmp.ts, xmit.ts) works on: the tables, and how the administrator set it. ipvs.ts owns and
// changes them. After Linux's struct netns_ipvs.
import type { Net } from '../core/context.ts';
import type { ConnTable } from './conn.ts';
import type { DestTable } from './dest.ts';
import type { ServiceTable } from './service-table.ts';
import type { Timeouts } from './state.ts';

/** net.ipv4.vs.*, with the kernel's defaults. */
export interface IpvsSysctl {
  /** Keep netfilter's connection for ours, so that masquerading works. */
  conntrack: number;
  conn_reuse_mode: number;
  expire_nodest_conn: number;
  expire_quiescent_template: number;
  sloppy_tcp: number;
}

export interface IpvsContext {
  readonly net: Net;
  readonly sysctl: IpvsSysctl;
  readonly timeouts: Timeouts;
  readonly table: ServiceTable;
  readonly destTable: DestTable;
  readonly conns: ConnTable;
  /** False without services: the hooks, which Linux only has while there are any (5.10 on), let everything pass. */
  readonly enabled: boolean;
}
