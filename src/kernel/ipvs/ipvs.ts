// IP Virtual Server in the emulated kernel: the tables, what netlink may do to them, and the hooks, after ip_vs_core.c and
// ip_vs_ctl.c of Linux 6.1 (IPv4, TCP and UDP, masquerade). The packet path is in in.ts (requests), out.ts (replies),
// icmp.ts, xmit.ts and accounting.ts; this file owns what they work on.
//
//   LOCAL_IN   98 reply   99 request       (after the filter, before nat INPUT)
//   LOCAL_OUT  -99 reply  -98 request      (after nat OUTPUT)
//   FORWARD    99 ICMP errors from clients 100 reply
//
// Left out: fwmark services, application helpers (ip_vs_ftp), direct routing and tunnels, SCTP, the sync
// daemon, secure_tcp and the drop defences, IPv6.
import type { Timer } from '../../lib/clock.ts';
import type { Skb } from '../../tcpip-ts/skb.ts';
import { get16, word } from '../../tcpip-ts/wire/bytes.ts';
import { ipProto } from '../../tcpip-ts/wire/ipv4.ts';
import type { Net } from '../core/context.ts';
import { IPS_DST_NAT, IPS_SEEN_REPLY } from '../netfilter/conntrack/ctinfo.ts';
import {
  NF_INET_FORWARD,
  NF_INET_LOCAL_IN,
  NF_INET_LOCAL_OUT,
  NF_IP_PRI_NAT_DST,
  NF_IP_PRI_NAT_SRC,
} from '../netfilter/hooks.ts';
import {
  type IpvsConnection,
  type IpvsControl,
  NetlinkError,
  type RealServer,
  type RealServerStatus,
  type VirtualServer,
  type VirtualServerKey,
} from '../netlink.ts';
import { CONN_F_NFCT, CONN_F_ONE_PACKET, CONN_F_TEMPLATE, type ConnId, ConnTable, NO_CONN, TICK_US } from './conn.ts';
import type { IpvsContext, IpvsSysctl } from './context.ts';
import { type Dest, type DestOptions, DestTable } from './dest.ts';
import { forwardIcmp } from './icmp.ts';
import { ipvsIn } from './in.ts';
import { ipvsOut } from './out.ts';
import { ipvsadmSave } from './save.ts';
import { schedulers } from './scheduler/registry.ts';
import type { SchedulerFactory } from './scheduler/scheduler.ts';
import { VirtualService } from './service.ts';
import { ServiceTable } from './service-table.ts';
import { stateName, Timeouts } from './state.ts';

/** The others of Linux, and from which value on they would do what is left out here. */
const INERT_SYSCTL: Readonly<Record<string, number>> = {
  am_droprate: Infinity,
  amemthresh: Infinity,
  backup_only: Infinity, // of the sync daemon, as the sync_* are
  cache_bypass: Infinity, // of fwmark services
  drop_entry: 3, // less: when memory is short, which it never is
  drop_packet: 3,
  ignore_tunneled: Infinity,
  nat_icmp_send: 1,
  pmtu_disc: Infinity, // of tunnels
  run_estimation: Infinity,
  schedule_icmp: 1,
  secure_tcp: 3,
  sloppy_sctp: Infinity,
  snat_reroute: Infinity, // without policy routing
  sync_persist_mode: Infinity,
  sync_ports: Infinity,
  sync_qlen_max: Infinity,
  sync_refresh_period: Infinity,
  sync_retries: Infinity,
  sync_sock_size: Infinity,
  sync_threshold: Infinity,
  sync_version: Infinity,
};

export class Ipvs implements IpvsContext, IpvsControl {
  readonly net: Net;
  readonly sysctl: IpvsSysctl = {
    conntrack: 0,
    conn_reuse_mode: 1,
    expire_nodest_conn: 0,
    expire_quiescent_template: 0,
    sloppy_tcp: 0,
  };
  readonly timeouts = new Timeouts();
  readonly table = new ServiceTable();
  readonly destTable: DestTable;
  readonly conns: ConnTable;
  /** False without services: the hooks, which Linux only has while there are any (5.10 on), let everything pass. */
  enabled = false;
  readonly #schedulers: ReadonlyMap<string, SchedulerFactory>;
  readonly #unregister: (() => void)[] = [];
  #nodestTimer: Timer | null = null;

  constructor(net: Net) {
    this.net = net;
    this.#schedulers = schedulers(net.rng);
    this.destTable = new DestTable(net.clock);
    this.conns = new ConnTable(net.clock, net, net.rng, this.destTable, (id) => this.#dropConntrack(id));
    net.virtualServers.isRequestTo = isRequestTo.bind(null, this);
    const reply = ipvsOut.bind(null, this);
    const request = ipvsIn.bind(null, this);
    this.#unregister.push(
      net.hooks.register(NF_INET_LOCAL_IN, NF_IP_PRI_NAT_SRC - 2, reply),
      net.hooks.register(NF_INET_LOCAL_IN, NF_IP_PRI_NAT_SRC - 1, request),
      net.hooks.register(NF_INET_LOCAL_OUT, NF_IP_PRI_NAT_DST + 1, reply),
      net.hooks.register(NF_INET_LOCAL_OUT, NF_IP_PRI_NAT_DST + 2, request),
      net.hooks.register(NF_INET_FORWARD, 99, forwardIcmp.bind(null, this)),
      net.hooks.register(NF_INET_FORWARD, 100, reply),
    );
  }

  // Services and dests. Failures are NetlinkErrors.

  addService(service: VirtualServer): void {
    if (this.table.lookup(service.proto, service.addr, service.port))
      throw new NetlinkError('EEXIST', 'ipvs add service');
    this.table.add(makeService(service, this.#schedulers));
    this.enabled = true;
  }

  updateService(service: VirtualServer): void {
    const svc = this.#service(service, 'update service');
    try {
      svc.edit(service);
    } catch (cause) {
      throw new NetlinkError('ENOENT', 'ipvs update service', undefined, {
        cause,
      });
    }
  }

  deleteService(key: VirtualServerKey): void {
    const svc = this.#service(key, 'delete service');
    this.table.delete(svc);
    const had = svc.numDests > 0;
    svc.clear(this.destTable);
    if (had) this.#expireNodestSoon();
    // With the last service the kernel takes its hooks out: what connections are left pass untranslated.
    this.enabled = this.table.size > 0;
  }

  addDest(key: VirtualServerKey, dest: RealServer | DestOptions): void {
    const svc = this.#service(key, 'add destination');
    checkDest(dest, 'add destination');
    if (!svc.addDest(dest, this.destTable)) {
      throw new NetlinkError('EEXIST', 'ipvs add destination');
    }
  }

  updateDest(key: VirtualServerKey, dest: RealServer | DestOptions): void {
    const svc = this.#service(key, 'update destination');
    checkDest(dest, 'update destination');
    svc.editDest(this.#dest(svc, dest, 'update destination'), dest);
  }

  deleteDest(key: VirtualServerKey, dest: { readonly addr: number; readonly port: number }): void {
    const svc = this.#service(key, 'delete destination');
    svc.removeDest(this.#dest(svc, dest, 'delete destination'), this.destTable);
    this.#expireNodestSoon();
  }

  flush(): void {
    for (const svc of [...this.table]) this.deleteService(svc);
  }

  setSysctl(name: string, value: number): void {
    if (name in this.sysctl) this.sysctl[name as keyof IpvsSysctl] = value;
    else if (!(name in INERT_SYSCTL)) throw new NetlinkError('ENOENT', `sysctl net.ipv4.vs.${name}`);
    else if (value >= INERT_SYSCTL[name]!) throw new NetlinkError('EOPNOTSUPP', `sysctl net.ipv4.vs.${name}=${value}`);
  }

  setTimeouts(tcpS: number, tcpFinS: number, udpS: number): void {
    this.timeouts.set(tcpS, tcpFinS, udpS);
  }

  services(): readonly VirtualServer[] {
    return Array.from(this.table, (svc) => ({
      proto: svc.proto,
      addr: svc.addr,
      port: svc.port,
      scheduler: svc.schedulerName,
      flags: svc.flags,
      timeoutS: svc.persistent ? svc.timeoutS : 0,
      netmask: svc.netmask,
    }));
  }

  dests(key: VirtualServerKey): readonly RealServerStatus[] {
    return Array.from(this.#service(key, 'get destinations').dests(), (dest) => ({
      addr: dest.addr,
      port: dest.port,
      weight: dest.weight,
      activeConns: dest.activeConns,
      inactiveConns: dest.inactConns,
      persistConns: dest.persistConns,
    }));
  }

  connections(): readonly IpvsConnection[] {
    const { conns } = this;
    const { conntrack } = this.net;
    const found: IpvsConnection[] = [];
    conns.forEach((id) => {
      if ((conns.flags[id]! & CONN_F_TEMPLATE) !== 0) return;
      const [proto, cport, vport] = [conns.proto[id]!, conns.cport[id]!, conns.vport[id]!];
      const [caddr, vaddr] = [conns.caddr[id]! >>> 0, conns.vaddr[id]! >>> 0];
      const ct = this.#conntrackOf(id);
      found.push({
        ...{ proto, caddr, cport, vaddr, vport, daddr: conns.daddr[id]! >>> 0, dport: conns.dport[id]! },
        state: stateName(proto, conns.state[id]!),
        tracked: ct !== 0,
        answered: ct !== 0 && (conntrack.status[ct]! & IPS_SEEN_REPLY) !== 0,
      });
    });
    return found;
  }

  /** As `ipvsadm-save -n`. */
  save(): string {
    return ipvsadmSave(this.table);
  }

  /** Takes the hooks out and forgets every connection. */
  close(): void {
    for (const unregister of this.#unregister.splice(0)) unregister();
    this.net.virtualServers.isRequestTo = null;
    this.#nodestTimer?.cancel();
    this.#nodestTimer = null;
    this.conns.close();
    this.destTable.close();
  }

  #service(key: VirtualServerKey, what: string): VirtualService {
    const svc = this.table.lookup(key.proto, key.addr, key.port);
    if (!svc) throw new NetlinkError('ESRCH', `ipvs ${what}`);
    return svc;
  }

  #dest(svc: VirtualService, { addr, port }: { readonly addr: number; readonly port: number }, what: string): Dest {
    const dest = svc.find(addr, port);
    if (!dest) throw new NetlinkError('ENOENT', `ipvs ${what}`);
    return dest;
  }

  /**
   * With expire_nodest_conn, connections of deleted dests go soon after the deletion: expire_nodest_conn_work is due with the next
   * tick, and Linux's timers fire one tick after they are due.
   */
  #expireNodestSoon(): void {
    if (this.sysctl.expire_nodest_conn === 0) return;
    const { clock } = this.net;
    this.#nodestTimer ??= clock.after(2 * TICK_US - (clock.nowUs() % TICK_US), () => {
      this.#nodestTimer = null;
      this.#expireNodest();
    });
  }

  #expireNodest(): void {
    const { conns } = this;
    conns.forEach((id) => {
      if (this.destTable.at(conns.dest[id]!).available || conns.nControl[id]! > 0) return;
      const template = conns.control[id]! as ConnId;
      conns.kill(id);
      if (template !== NO_CONN && conns.nControl[template] === 0) conns.kill(template);
    });
  }

  /** The connection ends, and netfilter's with it (ip_vs_conn_drop_conntrack). */
  #dropConntrack(id: ConnId): void {
    if ((this.conns.flags[id]! & (CONN_F_NFCT | CONN_F_TEMPLATE | CONN_F_ONE_PACKET)) !== CONN_F_NFCT) return;
    const ct = this.#conntrackOf(id);
    if (ct !== 0) this.net.conntrack.delete(ct);
  }

  /**
   * Netfilter's entry for the connection, 0 without. Deviation: Linux takes any with the client's tuple, and so ends one that a nat table
   * has translated since, its client having taken the same port again after IPVS mode was left.
   */
  #conntrackOf(id: ConnId): number {
    const { conns } = this;
    const { conntrack } = this.net;
    const cport = conns.cport[id]!;
    const vport = conns.vport[id]!;
    const ct = conntrack.find(conns.proto[id]!, conns.caddr[id]!, cport, conns.vaddr[id]!, vport) >> 1;
    return (conntrack.status[ct]! & IPS_DST_NAT) === 0 ? ct : 0;
  }
}

/** Of a packet that has been rewritten: whether it goes to a real server of this virtual server's (conn_out_get of xt_ipvs.c). */
function isRequestTo({ conns }: IpvsContext, skb: Skb, proto: number, vaddr: number, vport: number): boolean {
  const b = skb.bytes;
  if (ipProto(b, skb.nh) !== proto) return false;
  const server = word(b, skb.nh + 16);
  const id = conns.findOut(proto, server, get16(b, skb.th + 2), word(b, skb.nh + 12), get16(b, skb.th));
  return id !== NO_CONN && conns.vaddr[id] === (vaddr | 0) && conns.vport[id] === vport;
}

function makeService(service: VirtualServer, factories: ReadonlyMap<string, SchedulerFactory>): VirtualService {
  try {
    return new VirtualService(service, factories);
  } catch (cause) {
    throw new NetlinkError('ENOENT', `ipvs add service: scheduler ${service.scheduler}`, undefined, { cause });
  }
}

/** As ip_vs_add_dest() and ip_vs_edit_dest(). */
function checkDest(dest: DestOptions, what: string): void {
  const { weight, uThreshold = 0, lThreshold = 0 } = dest;
  if (weight < 0 || lThreshold > uThreshold) throw new NetlinkError('ERANGE', `ipvs ${what}`);
}
