// Plays a scenario of the IPVS oracle (reference/ipvs/README.md: what a real Linux 6.1 decided) on the emulated kernel, event by
// event. The world is whatever holds an Ipvs and moves packets; ours is in ipvs-kernel-world.ts.
//
// Time. The guest of the oracle sends a packet in some 100 us, so that a tick of its kernel (10 ms) falls between two events now and
// then; which two the results do not tell. Here no time passes but where a scenario asks for it (sleep, gap_ms, settle_ms), and a tick
// where the player's caller wants one: see ipvs-replay-search.ts.
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
import { split } from './ipvs-replay-compare.ts';
import type { DestSpec, Json, Result, Scenario, ServiceSpec } from './ipvs-replay-file.ts';
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
  /** kube-proxy-like NAT rules. */
  readonly nat: boolean;
  /** Whether conntrack sees packets. */
  readonly tracked: boolean;
  /** Mark these services' packets for masquerading. */
  readonly masquerade: readonly {
    readonly vip: string;
    readonly port: number;
    readonly protocol: string;
  }[];
}

export type MakeWorld = (options: WorldOptions) => ReplayWorld;

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
const SERVER: Readonly<Record<string, string>> = {
  ssynack: 'SA',
  sack: 'A',
  sfin: 'FA',
  srst: 'RA',
  ssyn: 'S',
};
const STEPS: Readonly<Record<string, readonly string[]>> = {
  open: ['syn', 'ssynack', 'ack'],
  close: ['fin', 'sfin', 'ack'],
};
const FTPPORT = 21;
/** What a moment takes in the oracle's guest at least. */
const MOMENT_US = 40;
const SETTLE_MS = 50;
/** Of the oracle's guest, HZ=100. */
const TICK_US = 10_000;

interface PacketEvent {
  readonly src: string;
  readonly sport: number;
  readonly svc?: number;
  readonly vip?: string;
  readonly dport?: number;
  readonly from?: string;
  readonly raw?: boolean;
}

/**
 * When ticks fall: before which moments, one each; and how many before the start. A moment is a packet, the look at its real server's counters
 * after it, another event, or the look at the connections within a dump.
 */
export interface Ticks {
  readonly before: ReadonlySet<number>;
  readonly atStart: number;
  /** What a moment takes, passing with the next wait. */
  readonly lagUs: number;
}

export class Player {
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
  #moments = 0;
  #lastTick = 0;
  /** The moment of the last wait. */
  #waitedAt = 0;

  constructor(scenario: Scenario, makeWorld: MakeWorld, ticks: Ticks) {
    this.#scenario = scenario;
    this.#ticks = ticks;
    this.#services = servicesOf(scenario);
    const nat = scenario.nat ?? true;
    this.#world = makeWorld({
      vips: [...new Set(this.#services.map((s) => s.vip))],
      nodeIP: scenario.node_ip ?? '192.0.2.1',
      nat,
      tracked: nat || this.#services.some((s) => s.port === FTPPORT), // which IPVS itself asks for (ip_vs_register_conntrack)
      masquerade: scenario.masquerade_all ? this.#services : [],
    });
    this.#world.advance(ticks.atStart * TICK_US);
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
    for (const [si, service] of this.#services.entries()) this.#addService(service, service.dests ?? [], si);
  }

  close(): void {
    this.#world.close();
  }

  /** Moments so far. */
  get moments(): number {
    return this.#moments;
  }

  /** The moment before which a tick fell last. */
  get lastTick(): number {
    return this.#lastTick;
  }

  /** What the kernel refuses is a result, too. */
  play(event: { readonly [kind: string]: unknown }): Result {
    const kind = Object.keys(event).find((k) => k !== 'note')!;
    const value = event[kind];
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
      DestSpec & {
        dest?: DestSpec;
        settle?: boolean;
        dests?: DestSpec[];
      } & Partial<ServiceSpec>;
    const service = this.#services[a?.svc ?? 0]!;
    if (kind in CLIENT || kind in SERVER || kind === 'udp' || kind === 'sudp') {
      const result = this.#packet(kind, a);
      this.#wait((this.#scenario.gap_ms ?? 0) * 1000); // the oracle keeps it after single packets alone
      return result;
    }
    if (kind in STEPS) {
      const steps = STEPS[kind]!.map((step) => this.#packet(step, a));
      const result: Record<string, Json> = { steps };
      if ('to' in steps[0]!) {
        result['to'] = steps[0]['to']!;
        if ('c' in steps[2]!) result['c'] = steps[2]['c']!;
      }
      return result;
    }
    this.#moment();
    const dest = { ...(a?.dest ?? a), ...(a?.weight === undefined ? {} : { weight: a.weight }) };
    switch (kind) {
      case 'add':
        this.ports.add(dest.port);
        ipvs.addDest(keyOf(service), realServer(dest));
        return { ok: true };
      case 'del':
        ipvs.deleteDest(keyOf(service), realServer(dest));
        this.#settle(a.settle);
        return { ok: true };
      case 'weight':
        ipvs.updateDest(keyOf(service), realServer(dest));
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
        this.#addService(service, a.dests ?? [], a.svc ?? 0);
        return { ok: true };
      case 'sleep':
        this.#wait(Number(value) * 1e6);
        return { ok: true };
      case 'sysctl':
        for (const [name, n] of Object.entries(value as Record<string, number>)) ipvs.setSysctl(name, n);
        return { ok: true };
      case 'dump':
        return this.#dump((value as { conns?: boolean }).conns ?? true);
      default:
        return { error: `unknown event ${kind}` };
    }
  }

  #addService(service: ServiceSpec, dests: readonly DestSpec[], si: number): void {
    for (const { port } of [service, ...dests]) this.ports.add(port);
    this.#world.ipvs.addService(virtualServer(service));
    this.#gone.delete(si);
    for (const dest of dests) this.#world.ipvs.addDest(keyOf(service), realServer(dest));
  }

  #settle(wanted = true): void {
    if (wanted) this.#wait((this.#scenario.settle_ms ?? SETTLE_MS) * 1000);
  }

  /** Time that surely passes. */
  #wait(us: number): void {
    if (us === 0) return;
    this.#world.advance(us + (this.#moments - this.#waitedAt) * this.#ticks.lagUs);
    this.#waitedAt = this.#moments;
    if (us >= TICK_US) this.#lastTick = this.#moments;
  }

  #moment(): void {
    this.#moments++;
    if (!this.#ticks.before.has(this.#moments)) return;
    this.#world.advance(TICK_US);
    this.#lastTick = this.#moments;
  }

  #packet(kind: string, a: PacketEvent): Result {
    this.#moment();
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
    this.#moment();
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
    this.#moment();
    const runUs = (this.#moments - this.#waitedAt) * MOMENT_US;
    if (runUs >= 1e6) this.#wait(runUs); // the seconds left show it
    const conns = connRows(this.#world.ipvs.conns).map((c) => [
      c.proto,
      c.client,
      c.vip,
      c.dest,
      c.state,
      c.secondsLeft,
    ]);
    return { services, conns };
  }
}

/** Of several services, each has what it says of itself, and the scenario's dests if it says nothing of those. */
function servicesOf(scenario: Scenario): ServiceSpec[] {
  const { scheduler, flags, protocol, vip, port, persistence, netmask, dests = [], services } = scenario;
  const own = services?.length ? services : [{ scheduler, flags, protocol, vip, port, persistence, netmask }];
  return own.map(
    (service) =>
      ({
        protocol: 'tcp',
        flags: [],
        dests,
        ...defined(service),
      }) as unknown as ServiceSpec,
  );
}

function defined(object: object): object {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
}

function keyOf(s: ServiceSpec): { proto: number; addr: number; port: number } {
  return {
    proto: s.protocol === 'udp' ? 17 : 6,
    addr: ipv4(s.vip),
    port: s.port,
  };
}

function virtualServer(s: ServiceSpec): VirtualServer {
  const names = typeof s.flags === 'string' ? s.flags.split(',').filter(Boolean) : (s.flags ?? []);
  let flags = s.persistence ? SVC_F_PERSISTENT : 0;
  for (const name of names) flags |= FLAGS[name]!;
  const netmask = ipv4(s.netmask ?? '255.255.255.255');
  return {
    ...keyOf(s),
    scheduler: s.scheduler,
    flags,
    timeoutS: s.persistence ?? 0,
    netmask,
  };
}

function realServer(d: DestSpec): RealServer & { uThreshold: number; lThreshold: number } {
  const { u_threshold: uThreshold = 0, l_threshold: lThreshold = 0 } = d;
  return {
    addr: ipv4(d.ip),
    port: d.port,
    weight: d.weight ?? 1,
    uThreshold,
    lThreshold,
  };
}

function text(addr: number): string {
  return [addr >>> 24, (addr >>> 16) & 255, (addr >>> 8) & 255, addr & 255].join('.');
}
