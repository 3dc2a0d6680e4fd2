// The ends of all paths of one packet, put together into one answer.
//
// Endpoints are those that a path reaches, with the sum of its probabilities. The hops are those of the first path, and where
// the others part from it, what chose them. Masquerade is said of the endpoints other than the sender itself: what meets
// itself always comes back masqueraded, so that counts only when there is no other.
import { formatHostPort, formatIpAddress, type IpAddress } from '../../tcpip-ts/wire/ip-address.ts';
import { type Flow, formatFlow } from './flow.ts';
import type { Path, WhatIfEnv } from './path.ts';
import { replyHops } from './reply.ts';
import type { TraceAnswer, TraceEndpoint, TraceHop } from './types.ts';

export function answerOf(env: WhatIfEnv, request: Flow, paths: readonly Path[]): TraceAnswer {
  const sent = paths.filter((p) => p.chosen && (p.ending!.kind === 'OUT' || p.ending!.kind === 'LOCAL'));
  return sent.length > 0 ? toEndpoints(env, request, paths, sent) : untouched(env, request, paths);
}

function toEndpoints(env: WhatIfEnv, request: Flow, paths: readonly Path[], sent: readonly Path[]): TraceAnswer {
  const endpoints = endpointsOf(sent);
  const others = sent.filter((p) => p.chosen!.addr !== request.saddr);
  const masquerade = (others.length > 0 ? others : sent).some((p) => p.masqueraded);
  const meetsItself = others.length < sent.length && others.length > 0 && !masquerade;
  const hairpin = meetsItself ? '; from itself its source is masqueraded' : '';
  const first = sent[0]!;
  const { chosen } = first;
  const what = formatFlow(request).split(' ')[2];
  const who = chosen!.realServer ? chosen!.why : `${what} goes to ${oneOf(endpoints.length)}`;
  const lost = paths.length > sent.length ? '; part of it is lost' : '';
  return {
    verdict: 'DNAT',
    endpoints,
    masquerade,
    hops: hopsOf(first, paths),
    reply: replyHops(env, request, first),
    reason: `${who}; the source is ${masquerade ? 'masqueraded' : 'kept'}${hairpin}${lost}.`,
  };
}

function oneOf(n: number): string {
  return n === 1 ? 'its one endpoint' : `one of ${n} endpoints`;
}

function endpointsOf(paths: readonly Path[]): TraceEndpoint[] {
  const sums = new Map<string, TraceEndpoint>();
  for (const { chosen, probability } of paths) {
    const { addr, port } = chosen!;
    const key = formatHostPort(addr, port);
    const before = sums.get(key)?.probability ?? 0;
    sums.set(key, { address: formatIpAddress(addr), port, probability: before + probability });
  }
  // Dice are thrown with 31 bits; what is left of a sum is not worth telling.
  return [...sums.values()].map((e) => ({ ...e, probability: Number(e.probability.toFixed(9)) }));
}

/** Hops of `first`; the other paths' own, from where each parts from the one before it to its choice, stand after its choice. */
function hopsOf(first: Path, paths: readonly Path[]): readonly TraceHop[] {
  const at = first.chosen!.hops;
  const branches: TraceHop[] = [];
  let before: readonly TraceHop[] = first.hops;
  for (const { hops, chosen } of paths) {
    const parts = hops.findIndex((hop, i) => !before[i] || !isSameHop(hop, before[i]));
    if (parts >= 0) branches.push(...hops.slice(parts, chosen?.hops ?? hops.length));
    before = hops;
  }
  return [...first.hops.slice(0, at), ...branches, ...first.hops.slice(at)];
}

function isSameHop(a: TraceHop, b: TraceHop): boolean {
  return a === b || (a.stage === b.stage && a.rule === b.rule && a.action === b.action && a.after === b.after);
}

/** No path reaches an endpoint. */
function untouched(env: WhatIfEnv, request: Flow, paths: readonly Path[]): TraceAnswer {
  const path = paths.find((p) => p.ending!.kind !== 'DROP') ?? paths[0]!;
  const { kind, reason, device } = path.ending!;
  const what = formatFlow(path.flow).split(' ')[2];
  const common = { endpoints: [], masquerade: path.masqueraded, hops: path.hops, reply: [] };
  switch (kind) {
    case 'REJECT':
    case 'DROP':
      return { ...common, verdict: kind, masquerade: false, reason: `${reason}.` };
    case 'OUT':
      return {
        ...common,
        verdict: 'NONE',
        reply: replyHops(env, request, path),
        reason: `no Service has ${what}; the packet is routed on through ${device}.`,
      };
    case 'LOCAL': {
      const does = path.explicit ? 'a rule accepts the packet' : 'no Service takes it there';
      return {
        ...common,
        verdict: path.explicit ? 'ACCEPT' : isServiceAddress(env, path.flow.daddr) ? 'LOCAL' : 'NONE',
        reason: `${what} is this host's own; ${does}.`,
      };
    }
  }
}

/** An address that this host has because of a Service: it is on the device that kube-proxy's IPVS mode makes for them. */
function isServiceAddress({ net }: WhatIfEnv, addr: IpAddress): boolean {
  return net.isOn('kube-ipvs0', addr);
}
