// What would the Node do to a packet? Answers over the structures that run (routes, rules, sets, virtual servers, connections)
// without changing any of them: the packet's hops, where it may end up and how likely, whether its source is rewritten, and
// the way back of the answer. The question is about the first packet of a new connection, unless the client's port is given
// and such a connection is known: then IPVS' entry decides, as it would.
import { formatIPv4, parseIPv4 } from '../../tcpip-ts/wire/address.ts';
import { IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP } from '../../tcpip-ts/wire/ipv4.ts';
import { NO_CONN } from '../ipvs/conn.ts';
import type { Dest } from '../ipvs/dest.ts';
import type { Ipvs } from '../ipvs/ipvs.ts';
import { formatDest, formatService } from '../ipvs/save.ts';
import type { Share } from '../ipvs/scheduler/scheduler.ts';
import type { VirtualService } from '../ipvs/service.ts';
import type { Flow } from './flow.ts';
import { Path, type WhatIfNet } from './path.ts';
import type { TraceAnswer, TraceEndpoint, TraceHop, TraceQuestion } from './types.ts';

export interface WhatIfEnv {
  readonly net: WhatIfNet;
  readonly ipvs: Ipvs | null;
  readonly nodeName: string;
}

/** Throws TypeError when the question makes no sense: an address that is none, a missing port. */
export function explain(env: WhatIfEnv, question: TraceQuestion): TraceAnswer {
  const flow = flowOf(env, question);
  const path = new Path(env.net, env.nodeName, flow);
  return env.net.fib.isLocal(flow.saddr) ? fromHere(env, path) : fromOutside(env, path);
}

function flowOf(env: WhatIfEnv, q: TraceQuestion): Flow {
  const proto = { tcp: IPPROTO_TCP, udp: IPPROTO_UDP, icmp: IPPROTO_ICMP }[q.protocol];
  const saddr = parseIPv4(q.from);
  const daddr = parseIPv4(q.to);
  if (saddr === undefined) throw new TypeError(`from: ${q.from} is not an IPv4 address`);
  if (daddr === undefined) throw new TypeError(`to: ${q.to} is not an IPv4 address`);
  if (proto !== IPPROTO_ICMP && q.toPort === undefined) throw new TypeError(`to: ${q.protocol} needs a port`);
  const back = new Path(env.net, env.nodeName, { ...NO_FLOW, daddr: saddr }).route();
  const iif = q.inDevice ?? (back.kind === 'forward' ? back.device : '');
  const isIcmp = proto === IPPROTO_ICMP;
  return {
    ...NO_FLOW,
    proto,
    saddr,
    sport: isIcmp ? undefined : q.fromPort,
    daddr,
    dport: isIcmp ? undefined : q.toPort,
    iif,
  };
}

const NO_FLOW: Flow = {
  proto: 0,
  saddr: 0,
  sport: undefined,
  daddr: 0,
  dport: undefined,
  mark: 0,
  iif: '',
  oif: '',
  ctState: 'NEW',
};

/** A packet that comes in by a device. */
function fromOutside(env: WhatIfEnv, path: Path): TraceAnswer {
  path.hop('RECEIVE', '', path.flow.iif === '' ? 'from outside' : `in by ${path.flow.iif}`);
  if (!path.chain('PREROUTING', ['raw', 'mangle', 'nat'])) return ended(path);
  const routed = path.routing();
  if (routed.kind === 'unreachable') return ended(path);
  if (routed.kind === 'local') {
    path.flow = { ...path.flow, oif: '' };
    if (!path.chain('INPUT', ['mangle', 'filter'])) return ended(path);
    return balance(env, path) ?? toSocket(path);
  }
  if (!path.chain('FORWARD', ['mangle', 'filter'])) return ended(path);
  if (!path.leave(routed.device, true)) return ended(path);
  return passedOn(env, path, routed.device);
}

/** A packet that this host makes. */
function fromHere(env: WhatIfEnv, path: Path): TraceAnswer {
  const routed = path.routing();
  if (routed.kind === 'unreachable') return ended(path);
  if (!path.chain('OUTPUT', ['raw', 'mangle', 'nat'])) return ended(path);
  const balanced = balance(env, path);
  if (balanced) return balanced;
  if (!path.chain('OUTPUT', ['filter'])) return ended(path);
  if (!path.leave(routed.kind === 'local' ? 'lo' : routed.device, true)) return ended(path);
  if (routed.kind === 'forward') return passedOn(env, path, routed.device);
  path.flow = { ...path.flow, iif: 'lo', oif: '' };
  return path.chain('INPUT', ['mangle', 'filter']) ? toSocket(path) : ended(path);
}

/** IPVS, at INPUT or OUTPUT; undefined when the packet is for no virtual server. */
function balance(env: WhatIfEnv, path: Path): TraceAnswer | undefined {
  const { flow } = path;
  const svc = flow.dport === undefined ? undefined : env.ipvs?.table.lookup(flow.proto, flow.daddr, flow.dport);
  if (!env.ipvs || !svc) return undefined;
  const { shares, why } = choose(env.ipvs, svc, flow);
  if (shares.length === 0) {
    path.hop('IPVS', formatService(svc), 'no real server takes it: ICMP port unreachable');
    path.ending = { kind: 'REJECT', reason: `virtual server ${name(svc)} has no real server to give it to` };
    return ended(path);
  }
  const ways = shares.map(({ dest }) => sendTo(env, path, svc, dest, why));
  const first = ways[0]!;
  const others = ways.filter((way) => way.dest.addr !== flow.saddr);
  const masquerade = (others.length > 0 ? others : ways).some((way) => way.path.masqueraded);
  const hairpin =
    others.length < ways.length && others.length > 0 && !masquerade ? '; from itself its source is masqueraded' : '';
  if (first.path.ending?.kind === 'DROP') return { ...ended(first.path), masquerade };
  return {
    verdict: 'DNAT',
    endpoints: shares.map(endpointOf),
    masquerade,
    hops: first.path.hops,
    reply: replyHops(env, first.path, flow, first.dest),
    reason: `virtual server ${name(svc)}: ${why}; the source is ${masquerade ? 'masqueraded' : 'kept'}${hairpin}.`,
  };
}

/** Who a connection would get, and the sentence for it. */
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
function sendTo(env: WhatIfEnv, from: Path, svc: VirtualService, dest: Dest, why: string): { path: Path; dest: Dest } {
  const path = new Path(env.net, env.nodeName, from.flow);
  path.hops.push(...from.hops);
  const after: Flow = { ...path.flow, daddr: dest.addr, dport: dest.port };
  path.hop(
    'IPVS',
    `${formatService(svc)}\n${formatDest(dest)}`,
    `${why}: to ${formatIPv4(dest.addr)}:${dest.port}`,
    after,
  );
  const routed = path.routing();
  if (routed.kind === 'local') {
    path.hop('LOCAL', '', 'the real server is this host');
  } else if (routed.kind === 'forward' && path.chain('OUTPUT', ['raw', 'mangle', 'filter'])) {
    path.leave(routed.device, true);
  }
  return { path, dest };
}

/** The answer of a real server, back to the client. */
function replyHops(env: WhatIfEnv, sent: Path, request: Flow, dest: Dest): readonly TraceHop[] {
  if (sent.ending) return [];
  const { net } = env;
  const flow: Flow = {
    ...NO_FLOW,
    proto: request.proto,
    saddr: dest.addr,
    sport: dest.port,
    ctState: 'ESTABLISHED',
    daddr: sent.flow.saddr,
    dport: sent.flow.sport,
  };
  const path = new Path(net, env.nodeName, flow);
  const rule = `reply of ${formatDest(dest)}`;
  const vip: Partial<Flow> = { saddr: request.daddr, sport: request.dport };
  const restore = (): void => {
    const source = `source becomes ${formatIPv4(request.daddr)}:${request.dport}`;
    path.hop('IPVS', rule, source, { ...path.flow, ...vip });
  };
  if (net.fib.isLocal(dest.addr)) {
    const routed = path.routing();
    if (!path.chain('OUTPUT', ['raw', 'mangle'])) return path.hops;
    restore();
    if (path.chain('OUTPUT', ['filter'])) path.leave(routed.kind === 'local' ? 'lo' : routed.device, false);
    return path.hops;
  }
  const back = new Path(net, env.nodeName, { ...flow, daddr: dest.addr }).route();
  path.flow = { ...path.flow, iif: back.device };
  path.hop('RECEIVE', '', `in by ${back.device}`);
  if (!path.chain('PREROUTING', ['raw', 'mangle'])) return path.hops;
  if (sent.masqueraded) {
    const after: Flow = { ...path.flow, daddr: request.saddr, dport: request.sport };
    path.hop('PREROUTING', 'conntrack', `destination becomes ${formatIPv4(request.saddr)} again`, after);
  }
  const routed = path.routing();
  if (routed.kind === 'unreachable') return path.hops;
  if (routed.kind === 'local') {
    path.flow = { ...path.flow, oif: '' };
    if (!path.chain('INPUT', ['mangle', 'filter'])) return path.hops;
    restore();
    path.hop('LOCAL', '', 'for the socket that asked');
    return path.hops;
  }
  if (!path.chain('FORWARD', ['mangle', 'filter'])) return path.hops;
  restore();
  path.leave(routed.device, false);
  return path.hops;
}

/** Not for any proxy: the packet has left through `device`. */
function passedOn(env: WhatIfEnv, path: Path, device: string): TraceAnswer {
  const { flow } = path;
  const what = flow.dport === undefined ? formatIPv4(flow.daddr) : `${formatIPv4(flow.daddr)}:${flow.dport}`;
  return {
    verdict: 'NONE',
    endpoints: [],
    masquerade: path.masqueraded,
    hops: path.hops,
    reply: plainReply(env, path, device),
    reason: `no Service has ${what}; the packet is routed on through ${device}.`,
  };
}

function plainReply(env: WhatIfEnv, sent: Path, device: string): readonly TraceHop[] {
  const { flow } = sent;
  const answer: Flow = { ...flow, saddr: flow.daddr, sport: flow.dport, daddr: flow.saddr, dport: flow.sport };
  const path = new Path(env.net, env.nodeName, { ...answer, iif: device, oif: '', mark: 0, ctState: 'ESTABLISHED' });
  path.hop('RECEIVE', '', `in by ${device}`);
  if (!path.chain('PREROUTING', ['raw', 'mangle'])) return path.hops;
  const routed = path.routing();
  if (routed.kind === 'local') {
    if (path.chain('INPUT', ['mangle', 'filter'])) path.hop('LOCAL', '', 'for the socket that asked');
  } else if (routed.kind === 'forward' && path.chain('FORWARD', ['mangle', 'filter'])) {
    path.leave(routed.device, false);
  }
  return path.hops;
}

/** For a socket of this host's own, whether there is one or not. */
function toSocket(path: Path): TraceAnswer {
  const explicit = path.explicit;
  path.hop('LOCAL', '', 'to the sockets of this host');
  const { flow } = path;
  const what = flow.dport === undefined ? formatIPv4(flow.daddr) : `${formatIPv4(flow.daddr)}:${flow.dport}`;
  return {
    verdict: explicit ? 'ACCEPT' : 'LOCAL',
    endpoints: [],
    masquerade: path.masqueraded,
    hops: path.hops,
    reply: [],
    reason: `${what} is this host's own; ${explicit ? 'a rule accepts the packet' : 'no virtual server listens there'}.`,
  };
}

function ended(path: Path): TraceAnswer {
  const { kind, reason } = path.ending!;
  return { verdict: kind, endpoints: [], masquerade: false, hops: path.hops, reply: [], reason: `${reason}.` };
}

function endpointOf({ dest, probability }: Share): TraceEndpoint {
  return { address: formatIPv4(dest.addr), port: dest.port, probability };
}

function name(svc: VirtualService): string {
  return `${formatIPv4(svc.addr)}:${svc.port}/${svc.proto === IPPROTO_TCP ? 'tcp' : 'udp'}`;
}
