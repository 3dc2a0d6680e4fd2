// What becomes of a generated packet (service-mix.ts), worked out from its Service and slices alone: a second reading of kube-proxy's
// source (CategorizeEndpoints() of pkg/proxy/topology.go, endpointslicecache.go and the three proxiers, v1.34) that has nothing of
// src/proxy. What the modes agree on could be wrong in all of them; here it would show.
import type { EndpointSlice } from '../../src/api/discovery-v1.ts';
import type { ProxyMode } from '../../src/proxy/config.ts';
import { NODE_IPS, type WideQuestion } from './service-mix.ts';

/** Of the KubeProxyConfiguration. */
export interface Circumstances {
  readonly masqueradeAll: boolean;
  /** There is a clusterCIDR to know them by. */
  readonly knowsPods: boolean;
  /** When the nodePortAddresses say so. */
  readonly nodePortIPs: readonly string[] | undefined;
}

interface Candidate {
  readonly address: string;
  readonly port: number;
  readonly isReady: boolean;
  readonly isDraining: boolean;
  readonly isLocal: boolean;
  readonly zones: readonly string[];
  readonly nodes: readonly string[];
}

interface Choice {
  readonly cluster: readonly Candidate[];
  readonly local: readonly Candidate[];
  readonly hasAny: boolean;
}

/** NONE, ACCEPT, REJECT, DROP, or DNAT with whether the source is kept, and each endpoint with its share. */
export function expectedVerdict(
  q: WideQuestion,
  slices: readonly EndpointSlice[],
  mode: ProxyMode,
  circumstances: Circumstances,
): string {
  if (q.target === 'notOurs') return 'NONE';
  if (q.target === 'unallocated') return mode === 'nftables' ? 'DROP' : 'NONE';
  if (q.target === 'wrongPort') return mode === 'iptables' ? 'NONE' : 'REJECT';
  if (q.target === 'healthCheck') return mode === 'nftables' ? 'NONE' : 'ACCEPT';
  const choice = choose(q, slices);
  return mode === 'ipvs' ? ofIpvs(q, choice, circumstances) : ofRules(q, choice, mode, circumstances);
}

/** The two modes that are rules only. */
function ofRules(q: WideQuestion, choice: Choice, mode: 'iptables' | 'nftables', around: Circumstances): string {
  const { cluster, local, hasAny } = choice;
  const isNft = mode === 'nftables';
  if (q.target === 'clusterIP') {
    if (!hasAny) return 'REJECT';
    return dnat(q, q.spec.internalTrafficPolicy === 'Local' ? local : cluster, isFromAfar(q, around), 'DROP');
  }
  const isLocalOnly = q.spec.externalTrafficPolicy === 'Local';
  if (!takesNodePort(q, around.nodePortIPs ?? (isNft ? NODE_IPS.slice(0, 1) : NODE_IPS))) {
    // Rules of iptables' filter table are for every local address.
    if (isNft) return 'NONE';
    return !hasAny ? 'REJECT' : isLocalOnly && local.length === 0 ? 'DROP' : 'NONE';
  }
  if (isKeptOut(q) && (isNft || hasAny)) return 'DROP';
  if (!hasAny) return !isNft && q.client === 'node' && !NODE_IPS.some((ip) => ip === q.to) ? 'NONE' : 'REJECT';
  if (!isLocalOnly) return dnat(q, cluster, true, 'DROP');
  // The short cut of what comes from within.
  if (isPod(q) && around.knowsPods) return dnat(q, cluster, false, 'DROP');
  if (q.client === 'node') return dnat(q, cluster, true, 'DROP');
  return dnat(q, local, false, 'DROP');
}

/** A policy Local that finds none here takes all; source ranges are looked at on the way in only. */
function ofIpvs(q: WideQuestion, { cluster, local }: Choice, around: Circumstances): string {
  const { internalTrafficPolicy, externalTrafficPolicy } = q.spec;
  const all = internalTrafficPolicy === 'Local' && !isReachable(q) ? [] : cluster;
  const under = (policy: string | undefined): readonly Candidate[] =>
    policy === 'Local' && local.length > 0 ? local : all;
  if (q.target === 'clusterIP') return dnat(q, under(internalTrafficPolicy), isFromAfar(q, around), 'REJECT');
  if (!takesNodePort(q, around.nodePortIPs ?? NODE_IPS)) return 'NONE';
  if (isKeptOut(q) && q.client !== 'node') return 'DROP';
  return dnat(q, under(externalTrafficPolicy), externalTrafficPolicy !== 'Local', 'REJECT');
}

function dnat(q: WideQuestion, to: readonly Candidate[], masquerade: boolean, otherwise: string): string {
  if (to.length === 0) return otherwise;
  const isOwn = to.length === 1 && to[0]!.address === q.from;
  const texts = to.map((e) => `${e.address} ${e.port} ${(1 / to.length).toFixed(6)}`).sort();
  return `DNAT ${masquerade || isOwn ? 'masqueraded' : 'kept'} ${texts.join(', ')}`;
}

function choose(q: WideQuestion, slices: readonly EndpointSlice[]): Choice {
  const all = candidates(q, slices);
  const ready = all.filter((e) => e.isReady);
  const draining = all.filter((e) => e.isDraining);
  const here = (list: readonly Candidate[]): Candidate[] => list.filter((e) => e.isLocal);
  return {
    cluster: ready.length > 0 ? nearest(ready) : draining,
    local: here(ready).length > 0 ? here(ready) : here(draining),
    hasAny: ready.length + draining.length > 0,
  };
}

/** Hints count when every endpoint has them and one is for this Node, else for its zone. */
function nearest(ready: readonly Candidate[]): readonly Candidate[] {
  for (const [kind, own] of [
    ['nodes', 'test-node'],
    ['zones', 'zone-a'],
  ] as const) {
    const mine = ready.filter((e) => e[kind].includes(own));
    if (mine.length > 0 && ready.every((e) => e[kind].length > 0)) return mine;
  }
  return ready;
}

/** Of two slices that have an endpoint the first one's word counts, unless another has it on this Node. */
function candidates(q: WideQuestion, slices: readonly EndpointSlice[]): readonly Candidate[] {
  const found = new Map<string, Candidate>();
  const wanted = q.spec.ports!.find((p) => p.port === q.port || p.nodePort === q.port)!;
  for (const { endpoints, ports } of slices.toSorted((a, b) => (a.metadata.name! < b.metadata.name! ? -1 : 1))) {
    for (const { port } of ports!.filter((p) => p.name === wanted.name && p.protocol === wanted.protocol)) {
      for (const { addresses, conditions = {}, nodeName, hints } of endpoints) {
        const { ready = true, serving = ready, terminating = false } = conditions;
        const isLocal = nodeName === 'test-node';
        const key = `${addresses[0]} ${port}`;
        if (found.has(key) && !isLocal) continue;
        found.set(key, {
          address: addresses[0]!,
          port: port!,
          isReady: ready,
          isDraining: serving && terminating,
          isLocal,
          zones: (hints?.forZones ?? []).map((z) => z.name),
          nodes: (hints?.forNodes ?? []).map((n) => n.name),
        });
      }
    }
  }
  return [...found.values()];
}

function isPod({ client }: WideQuestion): boolean {
  return client === 'pod' || client === 'hairpin';
}

/** Whether a ClusterIP takes the source for one that would not get its answer. */
function isFromAfar(q: WideQuestion, { masqueradeAll, knowsPods }: Circumstances): boolean {
  return masqueradeAll || (knowsPods && !isPod(q));
}

function isReachable({ spec }: WideQuestion): boolean {
  return spec.type !== 'ClusterIP' || (spec.externalIPs ?? []).length > 0;
}

function takesNodePort({ target, to }: WideQuestion, ips: readonly string[]): boolean {
  return (target !== 'nodePort' && target !== 'secondary') || ips.includes(to);
}

/** Whether none of the source ranges has the client. */
function isKeptOut({ target, from, spec }: WideQuestion): boolean {
  if (target !== 'loadBalancer' || !spec.loadBalancerSourceRanges) return false;
  return !spec.loadBalancerSourceRanges.some((range) => {
    const [network, length] = range.split('/') as [string, string];
    const bits = (ip: string): string =>
      ip
        .split('.')
        .map((b) => Number(b).toString(2).padStart(8, '0'))
        .join('');
    return bits(from).startsWith(bits(network).slice(0, Number(length)));
  });
}
