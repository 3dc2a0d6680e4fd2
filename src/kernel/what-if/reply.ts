// The way back: the answer of whoever got the packet, through the same kernel to whoever sent it. Its connection is known, so
// conntrack (and IPVS, where it chose) undoes the translations and no nat chain is asked. Where rules would fork it, which
// those for known connections do not, the first way is told.
import { formatHostPort, formatIpAddress } from '../../tcpip-ts/wire/ip-address.ts';
import { type Flow, NO_FLOW } from './flow.ts';
import { Path, type WhatIfEnv } from './path.ts';
import type { TraceHop } from './types.ts';
import type { HookName } from './walk.ts';

/** Of a packet that got through: `sent` has ended OUT or LOCAL. */
export function replyHops(env: WhatIfEnv, request: Flow, sent: Path): readonly TraceHop[] {
  const { saddr, sport, daddr, dport } = sent.flow;
  const flow: Flow = {
    ...NO_FLOW,
    proto: request.proto,
    saddr: daddr,
    sport: dport,
    daddr: saddr,
    dport: sport,
    ctState: 'ESTABLISHED',
    ctDnat: sent.flow.ctDnat,
  };
  const path = new Path(env.net, env.nodeName, flow, true);
  return new Reply(env, request, sent, path).hops();
}

class Reply {
  readonly #env: WhatIfEnv;
  readonly #request: Flow;
  readonly #sent: Path;
  #path: Path;

  constructor(env: WhatIfEnv, request: Flow, sent: Path, path: Path) {
    this.#env = env;
    this.#request = request;
    this.#sent = sent;
    this.#path = path;
  }

  hops(): readonly TraceHop[] {
    if (this.#env.net.isLocal(this.#path.flow.saddr)) this.#fromHere();
    else this.#fromOutside();
    return this.#path.hops;
  }

  #fromHere(): void {
    const routed = this.#path.routing();
    if (routed.kind === 'unreachable' || !this.#hook('OUTPUT')) return;
    this.#restoreSource('OUTPUT');
    this.#leave(routed.kind === 'local' ? 'lo' : routed.device);
  }

  #fromOutside(): void {
    const { device } = this.#sent.ending!;
    this.#path.flow = { ...this.#path.flow, iif: device };
    this.#path.hop('RECEIVE', '', `in by ${device}`);
    if (!this.#hook('PREROUTING')) return;
    this.#restoreDestination();
    const routed = this.#path.routing();
    if (routed.kind === 'unreachable') return;
    if (routed.kind === 'local') {
      this.#path.flow = { ...this.#path.flow, oif: '' };
      if (!this.#hook('INPUT')) return;
      this.#restoreSource('INPUT');
      this.#path.hop('LOCAL', '', 'for the socket that asked');
      return;
    }
    if (!this.#hook('FORWARD')) return;
    if (this.#sent.chosen?.realServer) this.#restoreSource('FORWARD');
    this.#leave(routed.device);
  }

  #leave(device: string): void {
    this.#path.flow = { ...this.#path.flow, oif: device };
    if (!this.#hook('POSTROUTING')) return;
    this.#restoreSource('POSTROUTING');
    this.#path.hop('TRANSMIT', '', `out of ${device}`);
  }

  /** False when the packet ends there. */
  #hook(stage: HookName): boolean {
    this.#path = this.#path.hook(stage)[0]!;
    return !this.#path.ending;
  }

  /** Whom a masqueraded answer is really for. */
  #restoreDestination(): void {
    if (!this.#sent.masqueraded) return;
    const { saddr: daddr, sport: dport } = this.#request;
    const after: Flow = { ...this.#path.flow, daddr, dport };
    this.#path.hop('PREROUTING', 'conntrack', `destination becomes ${formatIpAddress(daddr)} again`, after);
  }

  /** The address that was asked, in place of the endpoint's. */
  #restoreSource(stage: HookName): void {
    const { chosen } = this.#sent;
    const { daddr: saddr, dport: sport } = this.#request;
    if (!chosen || this.#path.flow.saddr === saddr) return;
    const action = `source becomes ${formatHostPort(saddr, sport ?? '*')}`;
    const byIpvs = chosen.realServer !== '';
    this.#path.hop(byIpvs ? 'IPVS' : stage, byIpvs ? `reply of ${chosen.realServer}` : 'conntrack', action, {
      ...this.#path.flow,
      saddr,
      sport,
    });
  }
}
