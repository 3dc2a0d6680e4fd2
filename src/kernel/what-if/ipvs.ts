// What IPVS would do to a packet that reaches it: which real server, why, and how likely; without counting or keeping anything.
import { formatHostPort } from '../../tcpip-ts/wire/ip-address.ts';
import { NO_CONN } from '../ipvs/conn.ts';
import type { Ipvs } from '../ipvs/ipvs.ts';
import { formatDest, formatService } from '../ipvs/save.ts';
import type { Share } from '../ipvs/scheduler/scheduler.ts';
import type { VirtualService } from '../ipvs/service.ts';
import { protoName } from '../netfilter/proto-name.ts';
import { type BalancedShare, type Balancer, type Balancing, reasonOf } from './balancer.ts';
import type { Flow } from './flow.ts';
import { onward, type Path } from './path.ts';

/** At INPUT or OUTPUT; undefined when the packet is for no virtual server. */
export function balance(path: Path): Path[] | undefined {
  const balancing = path.net.balancer?.balance(path.flow);
  if (!balancing) return undefined;
  const { service, name, shares } = balancing;
  if (shares.length === 0) {
    path.hop('IPVS', service, 'no real server takes it: ICMP port unreachable');
    path.end('REJECT', `virtual server ${name} has no real server to give it to`);
    return [path];
  }
  return shares.flatMap((share, i) => {
    const way = i === shares.length - 1 ? path : path.fork();
    way.probability *= share.probability;
    return sendTo(way, balancing, share);
  });
}

/** The emulated kernel's IPVS. */
export function ipvsBalancer(ipvs: Ipvs): Balancer {
  return {
    balance(flow) {
      const { proto, daddr, dport } = flow;
      if (typeof daddr !== 'number' || dport === undefined) return undefined;
      const svc = ipvs.table.lookup(proto, daddr, dport);
      if (!svc) return undefined;
      const { shares, why } = choose(ipvs, svc, flow);
      return {
        service: formatService(svc),
        name: `${formatHostPort(svc.addr, svc.port)}/${protoName(svc.proto)}`,
        why,
        shares: shares.map(({ dest, probability }) => {
          return { addr: dest.addr, port: dest.port, text: formatDest(dest), probability };
        }),
      };
    },
  };
}

/** Who a connection would get, and the clause for it. */
function choose(ipvs: Ipvs, svc: VirtualService, flow: Flow): { shares: readonly Share[]; why: string } {
  const { conns, destTable } = ipvs;
  const { proto, sport, dport } = flow;
  const [saddr, daddr] = [Number(flow.saddr), Number(flow.daddr)];
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
  return { shares, why: reasonOf(svc.schedulerName, shares.length) };
}

/** From IPVS on, with the real server chosen. */
function sendTo(path: Path, { service, name, why }: Balancing, share: BalancedShare): readonly Path[] {
  const { addr, port, text: realServer } = share;
  path.hop('IPVS', `${service}\n${realServer}`, `${why}: to ${formatHostPort(addr, port)}`, {
    ...path.flow,
    daddr: addr,
    dport: port,
    ctDnat: true, // ip_vs_update_conntrack
    virtual: { addr: path.flow.daddr, port: path.flow.dport! },
  });
  path.chosen = { addr, port, hops: path.hops.length, realServer, why: `virtual server ${name}: ${why}` };
  const routed = path.routing();
  if (routed.kind === 'unreachable') return [path];
  if (routed.kind === 'local') {
    path.hop('LOCAL', '', 'the real server is this host');
    path.end('LOCAL', '');
    return [path];
  }
  return onward(path.hook('OUTPUT'), (p) => p.leave(routed.device));
}
