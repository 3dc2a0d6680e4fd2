// One packet's way through the emulated kernel without sending it: the same hooks in the same order as ip/input.ts,
// ip/output.ts and ip/forward.ts, each stage leaving hops. What ends the packet is an Ending.
import { formatIPv4 } from '../../tcpip-ts/wire/address.ts';
import { NO_ROUTE, RTN_BLACKHOLE, RTN_BROADCAST, RTN_LOCAL, RTN_UNICAST } from '../ip/fib.ts';
import type { Kernel } from '../kernel.ts';
import type { TableName } from '../netfilter/iptables/rule.ts';
import { type Flow, formatFlow } from './flow.ts';
import { type Walk, walkChain } from './iptables.ts';
import type { TraceHop } from './types.ts';

/** What the engine reads of the kernel; it changes none of it. */
export type WhatIfNet = Pick<Kernel, 'fib' | 'devices' | 'addresses' | 'iptables' | 'ipset' | 'conntrack'>;

export interface Ending {
  readonly kind: 'REJECT' | 'DROP';
  readonly reason: string;
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
  /** Set once the packet is refused or lost. */
  ending: Ending | undefined;
  /** The last chain that let it through did so by a rule. */
  explicit = false;
  /** Its source was rewritten on the way. */
  masqueraded = false;
  readonly net: WhatIfNet;
  readonly #node: string;

  constructor(net: WhatIfNet, node: string, flow: Flow) {
    this.net = net;
    this.#node = node;
    this.flow = flow;
  }

  hop(stage: string, rule: string, action: string, after: Flow = this.flow): void {
    this.hops.push({ node: this.#node, stage, rule, action, before: formatFlow(this.flow), after: formatFlow(after) });
    this.flow = after;
  }

  /** Walks one built-in chain in each of the tables, in order. False when that was the packet's end. */
  chain(stage: string, tables: readonly TableName[]): boolean {
    for (const table of tables) {
      const walk = walkChain(this.net, table, stage, this.flow);
      this.#note(stage, walk);
      if (walk.verdict === 'ACCEPT') {
        if (walk.steps.length > 0) this.explicit = walk.explicit;
        continue;
      }
      const last = walk.steps.at(-1);
      this.ending = {
        kind: walk.verdict,
        reason: last
          ? `${stage} ${walk.verdict === 'DROP' ? 'drops' : 'rejects'} it: ${last.rule}`
          : `${stage}: policy DROP`,
      };
      return false;
    }
    return true;
  }

  #note(stage: string, { steps, masquerade, dnat, flow }: Walk): void {
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
      after = { ...flow, daddr: dnat.addr, dport: dnat.port === 0 ? flow.dport : dnat.port };
      action = `destination becomes ${formatIPv4(dnat.addr)}:${after.dport}`;
    }
    this.hop(stage, last.rule, action, after);
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
    if (routed.kind === 'unreachable') {
      this.ending = { kind: 'REJECT', reason: `there is no route to ${formatIPv4(this.flow.daddr)}` };
    }
    return routed;
  }

  /** The last steps of a packet that leaves through `device`; its connection's first packet asks the nat table. */
  leave(device: string, isFirst: boolean): boolean {
    this.flow = { ...this.flow, oif: device };
    if (!this.chain('POSTROUTING', isFirst ? ['mangle', 'nat'] : ['mangle'])) return false;
    this.hop('TRANSMIT', '', `out of ${device}`);
    return true;
  }
}
