// One packet's way through the emulated kernel without sending it: the same hooks in the same order as ip/input.ts,
// ip/output.ts and ip/forward.ts, each stage leaving hops. Where rules roll dice a path forks, into one for each outcome, with
// its probability. What ends the packet is an Ending.
import { formatHostPort, formatIpAddress, type IpAddress } from '../../tcpip-ts/wire/ip-address.ts';
import { hookChains } from './engines.ts';
import { type Flow, formatFlow } from './flow.ts';
import type { Routed, WhatIfNet } from './net.ts';
import type { TraceHop } from './types.ts';
import type { HookChain, HookName, Walk } from './walk.ts';

export interface WhatIfEnv {
  readonly net: WhatIfNet;
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
  readonly addr: IpAddress;
  readonly port: number;
  /** How many hops there were when it was chosen. */
  readonly hops: number;
  /** By IPVS: the real server as ipvsadm has it; '' by a rule. */
  readonly realServer: string;
  /** One clause: who chose it and why. */
  readonly why: string;
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
      const addr = this.net.sourceFor(flow.oif, flow.daddr);
      this.masqueraded = true;
      after = { ...flow, saddr: addr, sport: masquerade.randomFully ? undefined : flow.sport };
      action = `source becomes ${formatIpAddress(addr)}`;
    } else if (dnat) {
      after = { ...flow, daddr: dnat.addr, dport: dnat.port === 0 ? flow.dport : dnat.port, ctDnat: true };
      action = `destination becomes ${formatHostPort(dnat.addr, after.dport ?? '*')}`;
    }
    this.hop(stage, last.rule, action, after);
    if (dnat) {
      const { daddr: addr, dport: port = 0 } = this.flow;
      this.chosen = { addr, port, hops: this.hops.length, realServer: '', why: last.rule };
    }
  }

  /** Routes and notes it; sets the outgoing device. Unreachable is the packet's end. */
  routing(): Routed {
    const routed = this.net.route(this.flow.daddr);
    const actions = {
      local: 'for this host',
      forward: `out of ${routed.device}${routed.nexthop === this.flow.daddr ? '' : ` to ${formatIpAddress(routed.nexthop)}`}`,
      unreachable: 'no route',
    };
    this.hop('ROUTING', routed.text, actions[routed.kind]);
    this.flow = { ...this.flow, oif: routed.kind === 'local' ? 'lo' : routed.device };
    if (routed.kind === 'unreachable') this.end('REJECT', `there is no route to ${formatIpAddress(this.flow.daddr)}`);
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
