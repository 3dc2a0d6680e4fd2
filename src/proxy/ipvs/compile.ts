// What one service port asks of the Node: virtual servers with their real servers, addresses on kube-ipvs0, ipset entries.
// A pure function; after the loop over services in syncProxyRules() of pkg/proxy/ipvs/proxier.go, v1.31.
//
// The IPVS mode differs from the others in one point: when a Local policy finds no local endpoint, all endpoints are used.

import { familyOf, type IpAddress, isInPrefix } from '../../tcpip-ts/wire/ip-address.ts';
import { IPPROTO_SCTP, IPPROTO_TCP } from '../../tcpip-ts/wire/ipv4.ts';
import type { Cidr } from '../config.ts';
import type { IpSetEntry, RealServer, VirtualServer } from '../either-family.ts';
import { type Endpoint, endpointName } from '../endpoints.ts';
import type { ServicePort } from '../service-port.ts';
import { categorizeEndpoints, type Topology } from '../topology.ts';
import { entryKey, type SetName } from './ipsets.ts';

const FLAG_PERSISTENT = 0x1;
/** Source hash with the port, what kube-proxy sets for scheduler mh. */
const FLAG_SOURCE_HASH = 0x10;

export interface CompileContext extends Topology {
  readonly scheduler: string;
  /** All of this Node's addresses but loopback and kube-ipvs0's: never bound to kube-ipvs0. */
  readonly nodeAddresses: ReadonlySet<IpAddress>;
  /** Those that take NodePorts. */
  readonly nodePortAddresses: readonly IpAddress[];
  /** The Node's InternalIP, if known. */
  readonly nodeIP: IpAddress | undefined;
}

export interface CompiledServer {
  readonly key: string;
  readonly server: VirtualServer;
  /** By `address:port`. */
  readonly dests: ReadonlyMap<string, RealServer>;
}

export interface SetEntry {
  readonly set: SetName;
  readonly key: string;
  readonly entry: IpSetEntry;
}

/** Where a virtual server is. */
export type VirtualAddress = Pick<VirtualServer, 'proto' | 'addr' | 'port'>;

export interface CompiledPort {
  readonly servers: readonly CompiledServer[];
  /** Addresses for kube-ipvs0. */
  readonly bind: readonly IpAddress[];
  readonly entries: readonly SetEntry[];
  /** Load balancers whose source ranges leave the Node itself out. */
  readonly closed: readonly VirtualAddress[];
  /** Whether another set of Node addresses could change any of it. */
  readonly dependsOnNode: boolean;
}

export function serverKey(server: { readonly proto: number; readonly addr: IpAddress; readonly port: number }): string {
  return `${server.proto}/${server.addr}:${server.port}`;
}

export function compileServicePort(
  port: ServicePort,
  endpoints: readonly Endpoint[],
  ctx: CompileContext,
): CompiledPort {
  const { proto } = port;
  const { cluster, local } = categorizeEndpoints(endpoints, port, ctx);
  const chosen = (onlyLocal: boolean): readonly Endpoint[] =>
    (onlyLocal && local && local.length > 0 ? local : cluster) ?? local ?? [];
  const internal = destsOf(chosen(port.internalPolicyLocal));
  const external = destsOf(chosen(port.externalPolicyLocal));

  const servers: CompiledServer[] = [];
  const bind: IpAddress[] = [];
  const entries: SetEntry[] = [];
  const closed: VirtualAddress[] = [];
  const serve = (addr: IpAddress, portNumber: number, dests: ReadonlyMap<string, RealServer>): void => {
    const server = virtualServer(port, addr, portNumber, ctx.scheduler);
    servers.push({ key: serverKey(server), server, dests });
  };
  const add = (set: SetName, entry: IpSetEntry): void => {
    entries.push({ set, key: entryKey(entry), entry });
  };
  const bindAddress = (addr: IpAddress): void => {
    bind.push(addr);
    add('KUBE-IPVS-IPS', { ip: addr });
  };
  const bindUnlessOurs = (addr: IpAddress): void => {
    if (!ctx.nodeAddresses.has(addr)) bindAddress(addr);
  };

  for (const e of endpoints) if (e.local) add('KUBE-LOOP-BACK', { ip: e.addr, proto, port: e.port, ip2: e.addr });

  add('KUBE-CLUSTER-IP', { ip: port.clusterIP, proto, port: port.port });
  bindAddress(port.clusterIP);
  serve(port.clusterIP, port.port, internal);

  for (const ip of port.externalIPs) {
    add(port.externalPolicyLocal ? 'KUBE-EXTERNAL-IP-LOCAL' : 'KUBE-EXTERNAL-IP', { ip, proto, port: port.port });
    bindUnlessOurs(ip);
    serve(ip, port.port, external);
  }

  for (const ip of port.loadBalancerIPs) {
    const entry = { ip, proto, port: port.port };
    add('KUBE-LOAD-BALANCER', entry);
    if (port.externalPolicyLocal) add('KUBE-LOAD-BALANCER-LOCAL', entry);
    if (port.sourceRanges.length > 0) {
      add('KUBE-LOAD-BALANCER-FW', entry);
      for (const [ip2, prefixLen] of port.sourceRanges.flatMap(halved)) {
        add('KUBE-LOAD-BALANCER-SOURCE-CIDR', { ...entry, ip2, prefixLen });
      }
      // The Node reaches the address by itself, with that very address as source.
      if (port.sourceRanges.some((range) => isInPrefix(range, ctx.nodeIP))) {
        add('KUBE-LOAD-BALANCER-SOURCE-IP', { ...entry, ip2: ip });
      } else {
        closed.push({ proto, addr: ip, port: port.port });
      }
    }
    bindUnlessOurs(ip);
    serve(ip, port.port, external);
  }

  if (port.nodePort !== 0 && ctx.nodePortAddresses.length > 0) {
    if (proto === IPPROTO_SCTP) {
      // A bitmap of ports serves one protocol; SCTP shares a hash by address.
      for (const ip of ctx.nodePortAddresses) {
        add('KUBE-NODE-PORT-SCTP-HASH', { ip, proto, port: port.nodePort });
        if (port.externalPolicyLocal) add('KUBE-NODE-PORT-LOCAL-SCTP-HASH', { ip, proto, port: port.nodePort });
      }
    } else {
      const name = proto === IPPROTO_TCP ? 'TCP' : 'UDP';
      add(`KUBE-NODE-PORT-${name}`, { proto, port: port.nodePort });
      if (port.externalPolicyLocal) add(`KUBE-NODE-PORT-LOCAL-${name}`, { proto, port: port.nodePort });
    }
    for (const addr of ctx.nodePortAddresses) serve(addr, port.nodePort, external);
  }

  if (port.healthCheckNodePort !== 0) {
    add('KUBE-HEALTH-CHECK-NODE-PORT', { proto: IPPROTO_TCP, port: port.healthCheckNodePort });
  }
  const dependsOnNode = port.nodePort !== 0 || port.externalIPs.length > 0 || port.loadBalancerIPs.length > 0;
  return { servers, bind, entries, closed, dependsOnNode };
}

function destsOf(endpoints: readonly Endpoint[]): ReadonlyMap<string, RealServer> {
  return new Map(endpoints.map((e) => [endpointName(e), { addr: e.addr, port: e.port, weight: 1 }]));
}

function virtualServer(port: ServicePort, addr: IpAddress, portNumber: number, scheduler: string): VirtualServer {
  const persistent = port.affinityS > 0;
  return {
    proto: port.proto,
    addr,
    port: portNumber,
    scheduler,
    flags: (persistent ? FLAG_PERSISTENT : 0) | (scheduler === 'mh' ? FLAG_SOURCE_HASH : 0),
    timeoutS: port.affinityS,
    netmask: familyOf(addr) === 6 ? 128 : 0xffffffff,
  };
}

const HALVES: readonly Cidr[] = [
  [0, 1],
  [0x80000000, 1],
];
const HALVES6: readonly Cidr[] = [
  [0n, 1],
  [1n << 127n, 1],
];

/** An ipset cannot hold a /0: it becomes its two halves. */
function halved(range: Cidr): readonly Cidr[] {
  if (range[1] !== 0) return [range];
  return familyOf(range[0]) === 6 ? HALVES6 : HALVES;
}
