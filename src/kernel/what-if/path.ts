// One packet's way through the emulated kernel without sending it: the same hooks in the same order as ip/input.ts,
// ip/output.ts and ip/forward.ts, each stage leaving hops. Where rules roll dice a path forks, into one for each outcome, with
// its probability. What ends the packet is an Ending.
import { formatIPv4 } from '../../tcpip-ts/wire/address.ts';
import { NO_ROUTE, RTN_BLACKHOLE, RTN_BROADCAST, RTN_LOCAL, RTN_UNICAST } from '../ip/fib.ts';
import type { Ipvs } from '../ipvs/ipvs.ts';
import type { Kernel } from '../kernel.ts';
import { hookChains, type RulesNet } from './engines.ts';
import { type Flow, formatFlow } from './flow.ts';
import type { TraceHop } from './types.ts';
import type { HookChain, HookName, Walk } from './walk.ts';

/** What the engine reads of the kernel; it changes none of it. */
export type WhatIfNet = Pick<Kernel, 'fib' | 'devices' | 'addresses' | 'conntrack'> & RulesNet;

export interface WhatIfEnv {
  readonly net: WhatIfNet;
  readonly ipvs: Ipvs | null;
  readonly nodeName: string;
}

/** REJECT, DROP: the packet's end. OUT: it has left by `device`. LOCAL: it is for this host's sockets. */
export interface Ending {
  readonly kind: 'REJECT' | 'DROP' | 'OUT' | 'LOCAL';
  readonly reason: string;
  readonly device: string;
}

/** Where a proxy sends the packet. */
export interface Chosen {
  readonly addr: number;
  readonly port: number;
  /** How many hops there were when it was chosen. */
  readonly hops: number;
  /** By IPVS: the real server as ipvsadm has it; '' by a rule. */
  readonly realServer: string;
  /** One clause: who chose it and why. */
  readonly why: string;
}

export interface Routed {
  readonly kind: 'local' | 'forward' | 'unreachable';
  /** As `ip route` prints it. */
  readonly text: string;
  readonly device: string;
  readonly ifindex: number;
  readonly nexthop: number;
}

export class Path {
  readonly hops: TraceHop[] = [];
  flow: Flow;
  probability = 1;
  ending: Ending | undefined;
  chosen: Chosen | undefined;
  /** The last filter chain that it passed let it through by a rule. */
  explicit = false;
  /** Its source was rewritten on the way. */
  masqueraded = false;
  readonly net: WhatIfNet;
  readonly #node: string;
  /** Of a reply, or of a connection that has been translated otherwise: the nat chains are not asked. */
  readonly #known: boolean;

  constructor(net: WhatIfNet, node: string, flow: Flow, known = false) {
    this.net = net;
    this.#node = node;
    this.flow = flow;
    this.#known = known;
  }

  fork(): Path {
    const path = new Path(this.net, this.#node, this.flow, this.#known);
    path.hops.push(...this.hops);
    path.probability = this.probability;
    path.ending = this.ending;
    path.chosen = this.chosen;
    path.explicit = this.explicit;
    path.masqueraded = this.masqueraded;
    return path;
  }

  hop(stage: string, rule: string, action: string, after: Flow = this.flow): void {
    this.hops.push({ node: this.#node, stage, rule, action, before: formatFlow(this.flow), after: formatFlow(after) });
    this.flow = after;
  }

  end(kind: Ending['kind'], reason: string, device = ''): void {
    this.ending = { kind, reason, device };
  }

  /** Runs the chains on a hook with priorities from `from` to `to`; returns the ways through, those that end there included. */
  hook(stage: HookName, from = Number.NEGATIVE_INFINITY, to = Number.POSITIVE_INFINITY): Path[] {
    this.explicit = false;
    let paths: Path[] = [this];
    for (const chain of hookChains(this.net, stage)) {
      if (chain.priority < from || chain.priority > to) continue;
      paths = paths.flatMap((path) => (path.ending ? [path] : path.#through(stage, chain)));
    }
    return paths;
  }

  #through(stage: HookName, chain: HookChain): Path[] {
    const isSource = stage === 'POSTROUTING' || stage === 'INPUT';
    if (chain.isNat && (this.#known || (isSource ? this.masqueraded : this.flow.ctDnat))) return [this];
    const walks = chain.walk(this.flow);
    return walks.map((walk, i) => {
      const path = i === walks.length - 1 ? this : this.fork();
      path.probability *= walk.probability;
      path.#note(stage, walk);
      if (walk.verdict !== 'ACCEPT') path.#stop(stage, walk);
      else if (!chain.isNat && walk.steps.length > 0) path.explicit = walk.explicit;
      return path;
    });
  }

  #stop(stage: HookName, walk: Walk): void {
    const last = walk.steps.at(-1);
    const does = walk.verdict === 'DROP' ? 'drops' : 'rejects';
    this.end(walk.verdict as 'DROP' | 'REJECT', last ? `${stage} ${does} it: ${last.rule}` : `${stage}: policy DROP`);
  }

  #note(stage: HookName, { steps, masquerade, dnat, flow }: Walk): void {
    for (const { rule, action } of steps.slice(0, -1)) this.hop(stage, rule, action);
    const last = steps.at(-1);
    if (!last) return;
    let after = flow;
    let action = last.action;
    if (masquerade) {
      const device = this.net.devices.byName(flow.oif);
      const addr = device ? this.net.addresses.select(device.ifindex, flow.daddr) : 0;
      this.masqueraded = true;
      after = { ...flow, saddr: addr, sport: masquerade.randomFully ? undefined : flow.sport };
      action = `source becomes ${formatIPv4(addr)}`;
    } else if (dnat) {
      after = { ...flow, daddr: dnat.addr, dport: dnat.port === 0 ? flow.dport : dnat.port, ctDnat: true };
      action = `destination becomes ${formatIPv4(dnat.addr)}:${after.dport}`;
    }
    this.hop(stage, last.rule, action, after);
    if (dnat) {
      const { daddr: addr, dport: port = 0 } = this.flow;
      this.chosen = { addr, port, hops: this.hops.length, realServer: '', why: last.rule };
    }
  }

  route(): Routed {
    const { fib, devices } = this.net;
    const { daddr } = this.flow;
    const id = fib.lookup(daddr);
    if (id === NO_ROUTE) return { kind: 'unreachable', text: '', device: '', ifindex: 0, nexthop: 0 };
    const { type, oif, gateway, network, prefixLen } = fib.routeOf(id);
    const device = devices.byIndex(oif)?.name ?? '';
    const prefix = prefixLen === 0 ? 'default' : `${formatIPv4(network)}${prefixLen === 32 ? '' : `/${prefixLen}`}`;
    const kinds: Partial<Record<number, string>> = {
      [RTN_LOCAL]: 'local ',
      [RTN_BROADCAST]: 'broadcast ',
      [RTN_BLACKHOLE]: 'blackhole ',
    };
    const via = gateway === 0 ? '' : ` via ${formatIPv4(gateway)}`;
    const scope = type === RTN_LOCAL ? ' table local' : type === RTN_UNICAST && gateway === 0 ? ' scope link' : '';
    const text = `${kinds[type] ?? ''}${prefix}${via}${device ? ` dev ${device}` : ''}${scope}`;
    const kind = type === RTN_LOCAL ? 'local' : type === RTN_UNICAST ? 'forward' : 'unreachable';
    return { kind, text, device, ifindex: oif, nexthop: gateway === 0 ? daddr : gateway };
  }

  /** Routes and notes it; sets the outgoing device. Unreachable is the packet's end. */
  routing(): Routed {
    const routed = this.route();
    const actions = {
      local: 'for this host',
      forward: `out of ${routed.device}${routed.nexthop === this.flow.daddr ? '' : ` to ${formatIPv4(routed.nexthop)}`}`,
      unreachable: 'no route',
    };
    this.hop('ROUTING', routed.text, actions[routed.kind]);
    this.flow = { ...this.flow, oif: routed.kind === 'local' ? 'lo' : routed.device };
    if (routed.kind === 'unreachable') this.end('REJECT', `there is no route to ${formatIPv4(this.flow.daddr)}`);
    return routed;
  }

  /** The last steps of a packet that leaves through `device`. */
  leave(device: string): Path[] {
    this.flow = { ...this.flow, oif: device };
    return onward(this.hook('POSTROUTING'), (path) => {
      path.hop('TRANSMIT', '', `out of ${device}`);
      path.end('OUT', '', device);
      return [path];
    });
  }
}

/** What becomes of those paths that have not ended. */
export function onward(paths: readonly Path[], step: (path: Path) => readonly Path[]): Path[] {
  return paths.flatMap((path) => (path.ending ? [path] : step(path)));
}
