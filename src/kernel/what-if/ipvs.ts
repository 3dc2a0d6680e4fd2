// What IPVS would do to a packet that reaches it: which real server, why, and how likely; without counting or keeping anything.
import { formatIPv4 } from '../../tcpip-ts/wire/address.ts';
import { NO_CONN } from '../ipvs/conn.ts';
import type { Dest } from '../ipvs/dest.ts';
import type { Ipvs } from '../ipvs/ipvs.ts';
import { formatDest, formatService } from '../ipvs/save.ts';
import type { Share } from '../ipvs/scheduler/scheduler.ts';
import type { VirtualService } from '../ipvs/service.ts';
import { protoName } from '../netfilter/ipset/ipset.ts';
import type { Flow } from './flow.ts';
import { onward, type Path } from './path.ts';

/** At INPUT or OUTPUT; undefined when the packet is for no virtual server. */
export function balance({ ipvs }: { readonly ipvs: Ipvs | null }, path: Path): Path[] | undefined {
  const { flow } = path;
  const svc = flow.dport === undefined ? undefined : ipvs?.table.lookup(flow.proto, flow.daddr, flow.dport);
  if (!ipvs || !svc) return undefined;
  const { shares, why } = choose(ipvs, svc, flow);
  if (shares.length === 0) {
    path.hop('IPVS', formatService(svc), 'no real server takes it: ICMP port unreachable');
    path.end('REJECT', `virtual server ${name(svc)} has no real server to give it to`);
    return [path];
  }
  return shares.flatMap(({ dest, probability }, i) => {
    const way = i === shares.length - 1 ? path : path.fork();
    way.probability *= probability;
    return sendTo(way, svc, dest, why);
  });
}

/** Who a connection would get, and the clause for it. */
function choose(ipvs: Ipvs, svc: VirtualService, flow: Flow): { shares: readonly Share[]; why: string } {
  const { conns, destTable } = ipvs;
  const { proto, saddr, sport, daddr, dport } = flow;
  if (sport !== undefined) {
    const id = conns.findIn(proto, saddr | 0, sport, daddr | 0, dport!);
    const dest = id === NO_CONN ? undefined : destTable.at(conns.dest[id]!);
    if (dest?.available)
      return { shares: [{ dest, probability: 1 }], why: 'an existing connection stays with its real server' };
  }
  if (svc.persistent) {
    const id = conns.findTemplate(proto, saddr & svc.netmask, daddr | 0, svc.port);
    const dest = id === NO_CONN ? undefined : destTable.at(conns.dest[id]!);
    const quiescent = ipvs.sysctl.expire_quiescent_template !== 0 && dest?.weight === 0;
    if (dest?.available && !quiescent) {
      return {
        shares: [{ dest, probability: 1 }],
        why: `this client is bound to its real server for ${svc.timeoutS} s (affinity)`,
      };
    }
  }
  const shares = svc.scheduler.shares(saddr, sport, daddr);
  const n = shares.length;
  const picks = `${svc.schedulerName} picks ${n === 1 ? 'the one real server it can' : `one of ${n} real servers`}`;
  return { shares, why: picks };
}

/** From IPVS on, with the real server chosen. */
function sendTo(path: Path, svc: VirtualService, dest: Dest, why: string): readonly Path[] {
  const realServer = formatDest(dest);
  path.hop('IPVS', `${formatService(svc)}\n${realServer}`, `${why}: to ${formatIPv4(dest.addr)}:${dest.port}`, {
    ...path.flow,
    daddr: dest.addr,
    dport: dest.port,
    ctDnat: true, // ip_vs_update_conntrack
  });
  const { addr, port } = dest;
  path.chosen = { addr, port, hops: path.hops.length, realServer, why: `virtual server ${name(svc)}: ${why}` };
  const routed = path.routing();
  if (routed.kind === 'unreachable') return [path];
  if (routed.kind === 'local') {
    path.hop('LOCAL', '', 'the real server is this host');
    path.end('LOCAL', '');
    return [path];
  }
  return onward(path.hook('OUTPUT'), (p) => p.leave(routed.device));
}

function name(svc: VirtualService): string {
  return `${formatIPv4(svc.addr)}:${svc.port}/${protoName(svc.proto)}`;
}
