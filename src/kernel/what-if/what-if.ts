// What would the Node do to a packet? Answers over the structures that run (routes, rules, sets, virtual servers, connections)
// without changing any of them: the packet's hops, where it may end up and how likely, whether its source is rewritten, and
// the way back of the answer. The question is about the first packet of a new connection, unless the client's port is given
// and such a connection is known to IPVS: then its entry decides, as it would.
//
// Rules come from whichever engines stand on the hooks (engines.ts), IPVS from ipvs.ts; both fork the path where there is
// more than one outcome. answer.ts puts the ends of all paths together.
import { familyOf, parseIpAddress } from '../../tcpip-ts/wire/ip-address.ts';
import { IPPROTO_ICMP, IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP } from '../../tcpip-ts/wire/ipv4.ts';
import { NF_IP_PRI_NAT_DST, NF_IP_PRI_NAT_SRC } from '../netfilter/hooks.ts';
import { answerOf } from './answer.ts';
import { type Flow, NO_FLOW } from './flow.ts';
import { balance } from './ipvs.ts';
import type { Routed } from './net.ts';
import { onward, Path, type WhatIfEnv } from './path.ts';
import type { TraceAnswer, TraceQuestion } from './types.ts';

/** IPVS looks at packets right after NAT_DST of LOCAL_OUT, and right before NAT_SRC of LOCAL_IN. */
const AFTER_NAT_DST = NF_IP_PRI_NAT_DST + 1;
const BEFORE_NAT_SRC = NF_IP_PRI_NAT_SRC - 1;

/** Throws TypeError when the question makes no sense: an address that is none, a missing port. */
export function explain(env: WhatIfEnv, question: TraceQuestion): TraceAnswer {
  const asked = flowOf(question);
  const back = env.net.route(asked.saddr);
  const flow = { ...asked, iif: question.inDevice ?? (back.kind === 'forward' ? back.device : '') };
  const path = new Path(env.net, env.nodeName, flow);
  const paths = env.net.isLocal(flow.saddr) ? fromHere(path) : fromOutside(path);
  return answerOf(env, flow, paths);
}

/** Throws TypeError when the question makes no sense. */
export function flowOf(q: TraceQuestion): Flow {
  const proto = { tcp: IPPROTO_TCP, udp: IPPROTO_UDP, sctp: IPPROTO_SCTP, icmp: IPPROTO_ICMP }[q.protocol];
  const saddr = parseIpAddress(q.from);
  const daddr = parseIpAddress(q.to);
  if (saddr === undefined) throw new TypeError(`from: ${q.from} is not an IP address`);
  if (daddr === undefined) throw new TypeError(`to: ${q.to} is not an IP address`);
  if (familyOf(saddr) !== familyOf(daddr)) throw new TypeError(`from ${q.from} to ${q.to}: of two address families`);
  const isIcmp = proto === IPPROTO_ICMP;
  if (!isIcmp && q.toPort === undefined) throw new TypeError(`to: ${q.protocol} needs a port`);
  const [sport, dport] = isIcmp ? [undefined, undefined] : [q.fromPort, q.toPort];
  return { ...NO_FLOW, proto, saddr, sport, daddr, dport };
}

/** A packet that comes in by a device. */
function fromOutside(start: Path): Path[] {
  start.hop('RECEIVE', '', start.flow.iif === '' ? 'from outside' : `in by ${start.flow.iif}`);
  return onward(start.hook('PREROUTING'), (path) => {
    const routed = path.routing();
    if (routed.kind === 'unreachable') return [path];
    if (routed.kind === 'forward') return onward(path.hook('FORWARD'), (p) => p.leave(routed.device));
    path.flow = { ...path.flow, oif: '' };
    return toHere(path, true);
  });
}

/** A packet that this host makes. */
function fromHere(start: Path): Path[] {
  const first = start.routing();
  if (first.kind === 'unreachable') return [start];
  const { daddr } = start.flow;
  return onward(start.hook('OUTPUT', undefined, NF_IP_PRI_NAT_DST), (path) => {
    const balanced = balance(path);
    if (balanced) return balanced;
    // A new destination is a new route (ip_route_me_harder).
    const routed = path.flow.daddr === daddr ? first : path.routing();
    if (routed.kind === 'unreachable') return [path];
    return onward(path.hook('OUTPUT', AFTER_NAT_DST), (p) => leaveOrLoop(p, routed));
  });
}

function leaveOrLoop(path: Path, routed: Routed): readonly Path[] {
  if (routed.kind === 'forward') return path.leave(routed.device);
  path.flow = { ...path.flow, oif: 'lo' };
  return onward(path.hook('POSTROUTING'), (p) => {
    p.flow = { ...p.flow, iif: 'lo', oif: '' };
    return toHere(p, false);
  });
}

/** To this host: its virtual servers, or its sockets. Those of its own packets were asked at OUTPUT. */
function toHere(path: Path, asksIpvs: boolean): Path[] {
  return onward(path.hook('INPUT', undefined, BEFORE_NAT_SRC), (p) => {
    const balanced = asksIpvs ? balance(p) : undefined;
    if (balanced) return balanced;
    const { explicit } = p;
    return onward(p.hook('INPUT', NF_IP_PRI_NAT_SRC), (q) => {
      q.explicit = explicit || q.explicit;
      q.hop('LOCAL', '', 'to the sockets of this host');
      q.end('LOCAL', '');
      return [q];
    });
  });
}
