// `podwire trace --live`: follows the real packets of one flow through the Node, both ways, and tells each trace point as it is
// passed. A flow begins with what was asked for; what its packets are translated into, and the answers to that, belong to it,
// too. While nobody listens the trace points cost their one test each, no more.
import type { Skb } from '../../tcpip-ts/skb.ts';
import { IPPROTO_ICMP } from '../../tcpip-ts/wire/ipv4.ts';
import type { DropReason } from './drop-reason.ts';
import {
  formatTuple,
  type LazyText,
  type Stage,
  type TracePoints,
  TraceRecorder,
  type TraceSink,
  type TraceTuple,
  textOf,
} from './trace.ts';

/** One trace point that a packet passed, as text; the JSON of a line of `trace --live -o json`, but for the Node's name. */
export interface LiveHop {
  /** The same number for all of one packet. */
  readonly packet: number;
  readonly timeUs: number;
  readonly stage: Stage;
  /** In the real tool's own syntax; '' when none is behind it. */
  readonly rule: string;
  readonly action: string;
  readonly before: string;
  readonly after: string;
}

/** Ports are any when left out. */
export interface FollowedFlow {
  readonly saddr: number;
  readonly sport: number | undefined;
  readonly daddr: number;
  readonly dport: number | undefined;
  readonly proto: number;
}

/** Tuples that are remembered; then it starts over, and old connections are met again by what was asked for. */
const MAX_TUPLES = 65536;

class FlowFollower implements TraceSink {
  readonly #flow: FollowedFlow;
  readonly #tell: (hop: LiveHop) => void;
  readonly #time: { readonly nowUs: number };
  readonly #recorder = new TraceRecorder(Number.POSITIVE_INFINITY, (tuple) => this.#belongs(tuple));
  readonly #known = new Set<string>();

  constructor(flow: FollowedFlow, tell: (hop: LiveHop) => void, time: { readonly nowUs: number }) {
    this.#flow = flow;
    this.#tell = tell;
    this.#time = time;
  }

  stage(skb: Skb, stage: Stage): void {
    this.#recorder.stage(skb, stage);
    this.#flush();
  }

  action(skb: Skb, stage: Stage, rule: LazyText | string | null, action: LazyText | string): void {
    this.#recorder.action(skb, stage, rule, action);
    this.#flush();
  }

  drop(skb: Skb, reason: DropReason): void {
    this.#recorder.drop(skb, reason);
    this.#flush();
  }

  #belongs(tuple: TraceTuple): boolean {
    const { saddr, sport, daddr, dport, proto } = this.#flow;
    const isAsked =
      tuple.proto === proto &&
      tuple.saddr === saddr &&
      tuple.daddr === daddr &&
      (sport === undefined || tuple.sport === sport) &&
      (dport === undefined || tuple.dport === dport);
    return isAsked || this.#known.has(keyOf(tuple));
  }

  #flush(): void {
    for (const { packet, stage, rule, action, before, after } of this.#recorder.records.splice(0)) {
      if (this.#known.size > MAX_TUPLES) this.#known.clear();
      this.#known.add(keyOf(after));
      this.#known.add(keyOf(answerTo(after)));
      this.#tell({
        packet,
        timeUs: this.#time.nowUs,
        stage,
        rule: rule === null ? '' : textOf(rule),
        action: textOf(action),
        before: formatTuple(before),
        after: formatTuple(after),
      });
    }
  }
}

function answerTo({ saddr, sport, daddr, dport, proto }: TraceTuple): TraceTuple {
  const isIcmp = proto === IPPROTO_ICMP; // its id is the same both ways
  return { saddr: daddr, daddr: saddr, proto, sport: isIcmp ? sport : dport, dport: isIcmp ? 0 : sport };
}

function keyOf({ saddr, sport, daddr, dport, proto }: TraceTuple): string {
  return `${proto} ${saddr}:${sport} ${daddr}:${proto === IPPROTO_ICMP ? 0 : dport}`;
}

/** All who follow a flow; the kernel's one sink while there is any. */
export class LiveTraces implements TraceSink {
  readonly #points: TracePoints;
  readonly #time: { readonly nowUs: number };
  #followers: readonly FlowFollower[] = [];

  constructor(points: TracePoints, time: { readonly nowUs: number }) {
    this.#points = points;
    this.#time = time;
  }

  /** Until the function that it returns is called. */
  follow(flow: FollowedFlow, tell: (hop: LiveHop) => void): () => void {
    const follower = new FlowFollower(flow, tell, this.#time);
    this.#set([...this.#followers, follower]);
    return () => this.#set(this.#followers.filter((f) => f !== follower));
  }

  stage(skb: Skb, stage: Stage): void {
    for (const follower of this.#followers) follower.stage(skb, stage);
  }

  action(skb: Skb, stage: Stage, rule: LazyText | string | null, action: LazyText | string): void {
    for (const follower of this.#followers) follower.action(skb, stage, rule, action);
  }

  drop(skb: Skb, reason: DropReason): void {
    for (const follower of this.#followers) follower.drop(skb, reason);
  }

  #set(followers: readonly FlowFollower[]): void {
    this.#followers = followers;
    this.#points.sink = followers.length > 0 ? this : null;
  }
}
