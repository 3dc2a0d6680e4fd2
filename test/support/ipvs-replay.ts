// Plays scenarios of the IPVS oracle (reference/ipvs/README.md: what a real Linux 6.1 decided) against the emulated kernel,
// packet by packet, and says where the results differ. The world is whatever holds an Ipvs and moves packets; ours is in
// ipvs-kernel-world.ts.
import type { Ipvs } from '../../src/kernel/ipvs/ipvs.ts';
import { connRows } from '../../src/kernel/ipvs/save.ts';
import {
  SVC_F_FALLBACK,
  SVC_F_ONEPACKET,
  SVC_F_PERSISTENT,
  SVC_F_PORT,
} from '../../src/kernel/ipvs/scheduler/scheduler.ts';
import { NetlinkError, type RealServer, type VirtualServer } from '../../src/kernel/netlink.ts';
import { ipv4 } from '../../src/tcpip-ts/wire/address.ts';
import { ip, type Parsed, tcp, udp } from './packet.ts';

export interface ReplayWorld {
  readonly ipvs: Ipvs;
  /** Sends an IP packet in from outside and runs until nothing moves; returns what was sent to the outside. */
  inject(packet: Uint8Array): readonly Parsed[];
  /** Moves time on, timers included. */
  advance(us: number): void;
  close(): void;
}

export interface WorldOptions {
  readonly vips: readonly string[];
  readonly nodeIP: string;
  /** kube-proxy-like NAT rules, hence conntrack. */
  readonly nat: boolean;
  /** Mark these services' packets for masquerading. */
  readonly masquerade: readonly { readonly vip: string; readonly port: number; readonly protocol: string }[];
}

export type MakeWorld = (options: WorldOptions) => ReplayWorld;

interface DestSpec {
  readonly ip: string;
  readonly port: number;
  readonly weight?: number;
  readonly u_threshold?: number;
  readonly l_threshold?: number;
}

interface ServiceSpec {
  readonly scheduler: string;
  readonly flags?: readonly string[] | string;
  readonly protocol: 'tcp' | 'udp';
  readonly vip: string;
  readonly port: number;
  readonly persistence?: number;
  readonly netmask?: string;
  readonly dests?: readonly DestSpec[];
}

type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };
type Result = { readonly [key: string]: Json };

export interface Scenario extends Partial<ServiceSpec> {
  readonly id: string;
  readonly config?: string;
  readonly services?: readonly Partial<ServiceSpec>[];
  readonly sysctl?: Readonly<Record<string, number>>;
  readonly timeouts?: readonly [number, number, number];
  readonly nat?: boolean;
  readonly masquerade_all?: boolean;
  readonly node_ip?: string;
  readonly settle_ms?: number;
  readonly gap_ms?: number;
  readonly events: readonly { readonly [kind: string]: unknown }[];
  readonly results: readonly Result[];
}

export interface Difference {
  readonly scenario: string;
  /** Index of the event. */
  readonly event: number;
  readonly what: string;
  readonly expected: string;
  readonly got: string;
}

const FLAGS: Readonly<Record<string, number>> = {
  'sh-fallback': SVC_F_FALLBACK,
  'mh-fallback': SVC_F_FALLBACK,
  'sh-port': SVC_F_PORT,
  'mh-port': SVC_F_PORT,
  ops: SVC_F_ONEPACKET,
};
const CLIENT: Readonly<Record<string, string>> = {
  syn: 'S',
  ack: 'A',
  data: 'PA',
  fin: 'FA',
  finonly: 'F',
  rst: 'R',
  synack: 'SA',
  none: '',
};
const SERVER: Readonly<Record<string, string>> = { ssynack: 'SA', sack: 'A', sfin: 'FA', srst: 'RA', ssyn: 'S' };
const STEPS: Readonly<Record<string, readonly string[]>> = {
  open: ['syn', 'ssynack', 'ack'],
  close: ['fin', 'sfin', 'ack'],
};
/** Between two events. The oracle injects them back to back. */
const EVENT_US = 1000;
const SETTLE_MS = 50;
/** Of the oracle's guest, HZ=100. */
const TICK_US = 10_000;
/** How much later than asked the oracle's guest wakes from a sleep: timers of the same length have fired by then. */
const OVERSLEEP_US = 20_000;
/** The oracle's own seconds vary by this much from play to play. */
const SECONDS_SLACK = 2;

/** Of one scenario. */
export interface Outcome {
  readonly events: number;
  /** Of the play without ticks, unless another agrees in every event. */
  readonly differences: Difference[];
  /** The play that agrees. */
  readonly ticks: Ticks;
}

/**
 * Plays one scenario. Where nothing comes out the oracle's guest waits 4 ms (guest.py, drop_wait), which is less than a tick: its
 * results do not say whether one fell into it, so that what was to expire with the next tick has, or has not. The usual play has no
 * such tick. Only if it differs, two others are tried: a tick after steps of `open` and `close` that were dropped, and after all that
 * were dropped. One of them counts only if with it the whole scenario agrees. Without a dropped packet the three are the same.
 */
export function replay(scenario: Scenario, makeWorld: MakeWorld): Outcome {
  const events = scenario.events.filter((event) => !isToolOutput(event)).length;
  const differences = play(scenario, makeWorld, 'never');
  if (differences.length === 0) return { events, differences, ticks: 'never' };
  for (const ticks of ['steps', 'always'] as const)
    if (play(scenario, makeWorld, ticks).length === 0) return { events, differences: [], ticks };
  return { events, differences, ticks: 'never' };
}

/** The text of the ipvsadm program there: no decision of the kernel's, and not compared. */
function isToolOutput(event: object): boolean {
  return 'ipvsadm' in event;
}

/** After which dropped packets a tick of the guest's clock is taken to have passed. */
type Ticks = 'never' | 'steps' | 'always';

function play(scenario: Scenario, makeWorld: MakeWorld, ticks: Ticks): Difference[] {
  const player = new Player(scenario, makeWorld, ticks);
  const differences: Difference[] = [];
  try {
    scenario.events.forEach((event, i) => {
      if (isToolOutput(event)) return;
      const expected = scenario.results[i]!;
      const got = player.play(event);
      if (!same(expected, got, player.ports)) {
        const [expectedText, gotText] = [JSON.stringify(expected), JSON.stringify(got)];
        differences.push({
          scenario: scenario.id,
          event: i,
          what: JSON.stringify(event),
          expected: expectedText,
          got: gotText,
        });
      }
    });
  } finally {
    player.close();
  }
  return differences;
}

interface PacketEvent {
  readonly src: string;
  readonly sport: number;
  readonly svc?: number;
  readonly vip?: string;
  readonly dport?: number;
  readonly from?: string;
  readonly raw?: boolean;
}

class Player {
  readonly #scenario: Scenario;
  readonly #ticks: Ticks;
  readonly #world: ReplayWorld;
  readonly #services: ServiceSpec[];
  /** Of services and dests that have been. */
  readonly ports = new Set<number>();
  readonly #gone = new Set<number>();
  /** By client and service: the dest last seen, and the client as that dest saw it. */
  readonly #known = new Map<string, string>();
  readonly #seenAs = new Map<string, string>();

  constructor(scenario: Scenario, makeWorld: MakeWorld, ticks: Ticks) {
    this.#scenario = scenario;
    this.#ticks = ticks;
    const own = scenario.services ?? [scenario];
    this.#services = own.map((s) => ({ flags: scenario.flags ?? [], ...pick(scenario), ...s }) as ServiceSpec);
    const nat = scenario.nat ?? true;
    this.#world = makeWorld({
      vips: [...new Set(this.#services.map((s) => s.vip))],
      nodeIP: scenario.node_ip ?? '192.0.2.1',
      nat,
      masquerade: scenario.masquerade_all ? this.#services : [],
    });
    const { ipvs } = this.#world;
    const sysctl = {
      conntrack: 1,
      conn_reuse_mode: 0,
      expire_nodest_conn: 1,
      expire_quiescent_template: 1,
      ...scenario.sysctl,
    };
    for (const [name, value] of Object.entries(sysctl)) ipvs.setSysctl(name, value);
    if (scenario.timeouts) ipvs.setTimeouts(...scenario.timeouts);
    for (const service of this.#services) this.#addService(service, service.dests ?? []);
  }

  close(): void {
    this.#world.close();
  }

  play(event: { readonly [kind: string]: unknown }): Result {
    const kind = Object.keys(event).find((k) => k !== 'note')!;
    const result = this.#tried(kind, event[kind]);
    if (result['drop'] && this.#ticks === 'always') this.#world.advance(TICK_US);
    this.#world.advance((this.#scenario.gap_ms ?? 0) * 1000 + EVENT_US);
    return result;
  }

  /** What the kernel refuses is a result, too. */
  #tried(kind: string, value: unknown): Result {
    try {
      return this.#event(kind, value);
    } catch (error) {
      if (error instanceof NetlinkError) return { error: error.message };
      throw error;
    }
  }

  #event(kind: string, value: unknown): Result {
    const { ipvs } = this.#world;
    const a = value as PacketEvent &
      DestSpec & { dest?: DestSpec; settle?: boolean; dests?: DestSpec[] } & Partial<ServiceSpec>;
    const service = this.#services[a?.svc ?? 0]!;
    if (kind in CLIENT || kind in SERVER || kind === 'udp' || kind === 'sudp') return this.#packet(kind, a);
    if (kind in STEPS) {
      const steps = STEPS[kind]!.map((step) => {
        const result = this.#packet(step, a);
        if (result['drop'] && this.#ticks !== 'never') this.#world.advance(TICK_US);
        return result;
      });
      const result: Record<string, Json> = { steps };
      if ('to' in steps[0]!) {
        result['to'] = steps[0]['to']!;
        if ('c' in steps[2]!) result['c'] = steps[2]['c']!;
      }
      return result;
    }
    switch (kind) {
      case 'add':
        this.ports.add((a.dest ?? a).port);
        ipvs.addDest(keyOf(service), realServer(a.dest ?? a));
        return { ok: true };
      case 'del':
        ipvs.deleteDest(keyOf(service), realServer(a.dest ?? a));
        this.#settle(a.settle);
        return { ok: true };
      case 'weight':
        ipvs.updateDest(
          keyOf(service),
          realServer({ ...(a.dest ?? a), ...(a.weight === undefined ? {} : { weight: a.weight }) }),
        );
        return { ok: true };
      case 'edit': {
        const { svc = 0, ...fields } = a;
        this.#services[svc] = { ...service, ...fields } as ServiceSpec;
        ipvs.updateService(virtualServer(this.#services[svc]));
        return { ok: true };
      }
      case 'delsvc':
        ipvs.deleteService(keyOf(service));
        this.#gone.add(a.svc ?? 0);
        this.#settle(a.settle);
        return { ok: true };
      case 'addsvc':
        this.#addService(service, a.dests ?? []);
        this.#gone.delete(a.svc ?? 0);
        return { ok: true };
      case 'sleep':
        this.#world.advance(Number(value) * 1e6 + OVERSLEEP_US);
        return { ok: true };
      case 'sysctl':
        for (const [name, n] of Object.entries(value as Record<string, number>)) ipvs.setSysctl(name, n);
        return { ok: true };
      case 'dump':
        return this.#dump((value as { conns?: boolean }).conns ?? true);
      default:
        throw new Error(`unknown event ${kind}`);
    }
  }

  #addService(service: ServiceSpec, dests: readonly DestSpec[]): void {
    for (const { port } of [service, ...dests]) this.ports.add(port);
    this.#world.ipvs.addService(virtualServer(service));
    for (const dest of dests) this.#world.ipvs.addDest(keyOf(service), realServer(dest));
  }

  #settle(wanted = true): void {
    if (wanted) this.#world.advance((this.#scenario.settle_ms ?? SETTLE_MS) * 1000);
  }

  #packet(kind: string, a: PacketEvent): Result {
    const si = a.svc ?? 0;
    const service = this.#services[si]!;
    const vip = a.vip ?? service.vip;
    const vport = a.dport ?? service.port;
    const isUdp = kind === 'udp' || kind === 'sudp';
    const isServer = kind in SERVER || kind === 'sudp';
    const client = `${a.src}:${a.sport}`;
    const flow = `${isUdp ? 'udp' : 'tcp'} ${client} ${si}`;
    let out: readonly Parsed[];
    if (isServer) {
      const from = a.from ?? this.#known.get(flow);
      if (!from) return { skipped: 'no known dest' };
      out = this.#send(
        isUdp,
        from,
        a.raw ? client : (this.#seenAs.get(flow) ?? client),
        SERVER[kind] ?? '',
        5000,
        1001,
      );
    } else {
      const first = kind === 'syn';
      out = this.#send(isUdp, client, `${vip}:${vport}`, CLIENT[kind] ?? '', first ? 1000 : 1001, first ? 0 : 5001);
    }
    const result: Record<string, Json> = {};
    for (const packet of out) {
      const { ip: header } = packet;
      if (packet.icmp) {
        result['icmp'] = [packet.icmp.type, packet.icmp.code];
        if (header!.daddr !== a.src) result['icmp_to'] = header!.daddr;
        continue;
      }
      const ports = (packet.tcp ?? packet.udp)!;
      const [source, target] = [`${header!.saddr}:${ports.sport}`, `${header!.daddr}:${ports.dport}`];
      if (!isServer && source === `${vip}:${vport}` && target === client && packet.tcp?.flags.includes('R')) {
        result['rst'] = true; // from the director's own stack, which has no socket there
      } else if (isServer) {
        result['reply'] = source;
        if (target !== client) result['reply_to'] = target;
      } else {
        result['to'] = target;
        if (source !== client) result['as'] = source;
        this.#known.set(flow, target);
        this.#seenAs.set(flow, source);
      }
    }
    if (Object.keys(result).length === 0) result['drop'] = true;
    const counters = 'to' in result ? this.#counters(si, result['to'] as string) : undefined;
    if (counters) result['c'] = counters;
    return result;
  }

  #send(isUdp: boolean, from: string, to: string, flags: string, seq: number, ack: number): readonly Parsed[] {
    const [saddr, sport] = split(from);
    const [daddr, dport] = split(to);
    const segment = isUdp ? udp({ sport, dport }, 'x') : tcp({ sport, dport, flags, seq, ack, window: 64240 });
    return this.#world.inject(ip({ saddr, daddr, df: true }, segment));
  }

  #counters(si: number, dest: string): number[] | undefined {
    if (this.#gone.has(si)) return undefined;
    const [addr, port] = split(dest);
    const found = this.#world.ipvs
      .dests(keyOf(this.#services[si]!))
      .find((d) => d.addr === ipv4(addr) && d.port === port);
    return found && [found.activeConns, found.inactiveConns, found.persistConns];
  }

  #dump(withConns: boolean): Result {
    const services = this.#services.map((service, i) =>
      this.#gone.has(i)
        ? []
        : this.#world.ipvs
            .dests(keyOf(service))
            .map((d) => [`${text(d.addr)}:${d.port}`, d.weight, d.activeConns, d.inactiveConns, d.persistConns]),
    );
    if (!withConns) return { services };
    const conns = connRows(this.#world.ipvs).map((c) => [c.proto, c.client, c.vip, c.dest, c.state, c.secondsLeft]);
    return { services, conns };
  }
}

function pick(s: Scenario): Partial<ServiceSpec> {
  const { scheduler, protocol, vip, port, persistence, netmask, dests } = s;
  return Object.fromEntries(
    Object.entries({ scheduler, protocol, vip, port, persistence, netmask, dests }).filter(([, v]) => v !== undefined),
  );
}

function keyOf(s: ServiceSpec): { proto: number; addr: number; port: number } {
  return { proto: s.protocol === 'udp' ? 17 : 6, addr: ipv4(s.vip), port: s.port };
}

function virtualServer(s: ServiceSpec): VirtualServer {
  const names = typeof s.flags === 'string' ? s.flags.split(',').filter(Boolean) : (s.flags ?? []);
  let flags = s.persistence ? SVC_F_PERSISTENT : 0;
  for (const name of names) flags |= FLAGS[name]!;
  const netmask = ipv4(s.netmask ?? '255.255.255.255');
  return { ...keyOf(s), scheduler: s.scheduler, flags, timeoutS: s.persistence ?? 0, netmask };
}

function realServer(d: DestSpec): RealServer & { uThreshold: number; lThreshold: number } {
  const { u_threshold: uThreshold = 0, l_threshold: lThreshold = 0 } = d;
  return { addr: ipv4(d.ip), port: d.port, weight: d.weight ?? 1, uThreshold, lThreshold };
}

function split(hostPort: string): [string, number] {
  const at = hostPort.lastIndexOf(':');
  return [hostPort.slice(0, at), Number(hostPort.slice(at + 1))];
}

function text(addr: number): string {
  return [addr >>> 24, (addr >>> 16) & 255, (addr >>> 8) & 255, addr & 255].join('.');
}

/** Equal but for what the oracle itself leaves open: ports that NAT chose at random, and the seconds left of a timer. */
function same(expected: Result, got: Result, ports: ReadonlySet<number>): boolean {
  const texts = [expected, got].map((result) => JSON.stringify(normal(result, expected, ports)));
  return texts[0] === texts[1] && sameSeconds(expected, got);
}

/** In one order; without the counters that the oracle was not asked for. */
function normal(result: Result, expected: Result, ports: ReadonlySet<number>): Json {
  const out: Record<string, Json> = {};
  for (const key of Object.keys(result).sort()) {
    const value = result[key]!;
    if (key === 'c' && !('c' in expected)) continue;
    if (key === 'error')
      out[key] = true; // worded by errno there
    else if (key === 'as' || key === 'reply_to') out[key] = split(value as string)[0];
    else if (key === 'reply') out[key] = withoutRandom(value as string, ports);
    else if (key === 'steps') out[key] = (value as Result[]).map((step, i) => normal(step, stepOf(expected, i), ports));
    else if (key === 'conns') out[key] = sorted(value).map((row) => row.slice(0, 5));
    else if (key !== 'late') out[key] = value;
  }
  return out;
}

/** A server's own port, or its service's, or one that NAT chose. */
function withoutRandom(source: string, ports: ReadonlySet<number>): string {
  const [addr, port] = split(source);
  return ports.has(port) ? source : addr;
}

function stepOf(result: Result, i: number): Result {
  return (result['steps'] as Result[] | undefined)?.[i] ?? {};
}

function sameSeconds(expected: Result, got: Result): boolean {
  if (!('conns' in expected) || !('conns' in got)) return true;
  const [a, b] = [sorted(expected['conns']!), sorted(got['conns']!)];
  return a.every((row, i) => Math.abs((row[5] as number) - (b[i]![5] as number)) <= SECONDS_SLACK);
}

function sorted(conns: Json): Json[][] {
  return [...(conns as Json[][])].sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
}
