// ClusterIPs and NodePorts of Services: taken before a Service is written, given back when the write fails or the Service
// goes. After kubernetes/pkg/registry/core/service/storage/alloc.go. The allocators live in memory and are filled from the stored
// Services at start. One address family (IPv4): Deviation: no IPAddress objects; dual stack is refused as on a single-stack cluster.
import type { Service, ServicePort } from '../../api/core-v1.ts';
import { at, FieldErrors } from '../../api/field-errors.ts';
import type { Stored } from '../../api/meta.ts';
import { SERVICES } from '../../api/resources.ts';
import { invalid, StatusError } from '../../api/status-error.ts';
import { needsHealthCheckNodePort, needsNodePort } from '../../api/validation/service.ts';
import { AllocationError, formatIPv4, type IpAllocator, parseIPv4 } from '../allocation/ip-allocator.ts';
import type { PortAllocator } from '../allocation/port-allocator.ts';
import type { Allocation } from './strategy.ts';

/** What one write takes and gives up; nothing is given up before the write has happened. */
class Transaction implements Allocation {
  readonly #undo: (() => void)[] = [];
  readonly #afterwards: (() => void)[] = [];

  took(undo: () => void): void {
    this.#undo.push(undo);
  }

  givesUp(release: () => void): void {
    this.#afterwards.push(release);
  }

  commit(): void {
    for (const release of this.#afterwards) release();
  }

  revert(): void {
    for (const undo of this.#undo) undo();
  }
}

export class ServiceAllocation {
  readonly #ips: IpAllocator;
  readonly #ports: PortAllocator;

  constructor(ips: IpAllocator, ports: PortAllocator) {
    this.#ips = ips;
    this.#ports = ports;
  }

  /** Takes what the stored Services have. What does not fit (another range, a clash) is left as it is. */
  load(services: readonly Stored<Service>[]): void {
    const quietly = (take: () => void): void => {
      try {
        take();
      } catch (error) {
        if (!(error instanceof AllocationError)) throw error;
      }
    };
    for (const service of services) {
      const ip = addressOf(service);
      if (ip !== undefined) quietly(() => this.#ips.allocate(ip));
      for (const port of nodePortsOf(service)) quietly(() => this.#ports.allocate(port));
    }
  }

  /** Fills in addresses, families and ports. Throws StatusError and takes nothing when something is not to be had. */
  create(service: Service): Allocation {
    return this.#transaction((transaction) => {
      this.#families(service);
      this.#takeClusterIP(service, undefined, transaction);
      this.#takeNodePorts(service, new Set(), transaction);
      this.#takeHealthPort(service, 0, transaction);
    });
  }

  update(service: Service, old: Stored<Service>): Allocation {
    return this.#transaction((transaction) => {
      this.#families(service);
      this.#takeClusterIP(service, old, transaction);
      const had = nodePortsOf(old);
      this.#takeNodePorts(service, had, transaction);
      this.#takeHealthPort(service, old.spec.healthCheckNodePort ?? 0, transaction);
      const kept = nodePortsOf(service);
      for (const port of had) if (!kept.has(port)) transaction.givesUp(() => this.#ports.release(port));
    });
  }

  /** The Service is gone. */
  release(service: Stored<Service>): void {
    const ip = addressOf(service);
    if (ip !== undefined) this.#ips.release(ip);
    for (const port of nodePortsOf(service)) this.#ports.release(port);
  }

  #transaction(take: (transaction: Transaction) => void): Transaction {
    const transaction = new Transaction();
    try {
      take(transaction);
    } catch (error) {
      transaction.revert();
      throw error;
    }
    return transaction;
  }

  #families(service: Service): void {
    const { spec } = service;
    if (spec.type === 'ExternalName') return;
    const selectorless = spec.clusterIP === 'None' && Object.keys(spec.selector ?? {}).length === 0;
    spec.ipFamilyPolicy ??= selectorless ? 'RequireDualStack' : 'SingleStack';
    const errors = new FieldErrors();
    const policy = spec.ipFamilyPolicy;
    if (policy === 'SingleStack') {
      const why = (what: string): string =>
        `must be 'RequireDualStack' or 'PreferDualStack' when multiple ${what} are specified`;
      if ((spec.clusterIPs?.length ?? 0) > 1) errors.invalid('spec.ipFamilyPolicy', policy, why('cluster IPs'));
      if ((spec.ipFamilies?.length ?? 0) > 1) errors.invalid('spec.ipFamilyPolicy', policy, why('IP families'));
    }
    if (selectorless) {
      // Headless without a selector may be of both families on any cluster.
      if (!spec.ipFamilies?.length) spec.ipFamilies = policy === 'SingleStack' ? ['IPv4'] : ['IPv4', 'IPv6'];
    } else {
      if (policy === 'RequireDualStack') {
        errors.invalid('spec.ipFamilyPolicy', policy, 'this cluster is not configured for dual-stack services');
      }
      for (const [i, family] of (spec.ipFamilies ?? []).entries()) {
        if (family !== 'IPv4') errors.invalid(at('spec.ipFamilies', i), family, 'not configured on this cluster');
      }
      for (const [i, ip] of (spec.clusterIPs ?? []).entries()) {
        if (ip !== 'None' && parseIPv4(ip) === undefined) {
          errors.invalid(at('spec.clusterIPs', i), spec.clusterIPs, 'IPv6 is not configured on this cluster');
        }
      }
      if (!spec.ipFamilies?.length) spec.ipFamilies = ['IPv4'];
    }
    if (!errors.empty) throw invalid(SERVICES, service.metadata.name ?? '', errors.causes);
  }

  #takeClusterIP(service: Service, old: Stored<Service> | undefined, transaction: Transaction): void {
    const { spec } = service;
    const had = old && addressOf(old);
    const wanted = addressOf(service);
    if (had !== undefined && wanted !== had) transaction.givesUp(() => this.#ips.release(had));
    if (spec.type === 'ExternalName' || spec.clusterIP === 'None' || (wanted !== undefined && wanted === had)) return;
    let ip: number;
    try {
      if (wanted === undefined) ip = this.#ips.allocateNext();
      else {
        ip = wanted;
        this.#ips.allocate(wanted);
      }
    } catch (error) {
      if (!(error instanceof AllocationError)) throw error;
      if (wanted === undefined) throw internal(`failed to allocate a serviceIP: ${error.message}`);
      throw refused(
        service,
        'spec.clusterIPs',
        spec.clusterIPs,
        `failed to allocate IP ${formatIPv4(wanted)}: ${error.message}`,
      );
    }
    transaction.took(() => this.#ips.release(ip));
    if (wanted === undefined) spec.clusterIP = formatIPv4(ip);
    spec.clusterIPs = [spec.clusterIP!];
  }

  /** One number serves all protocols of a port: the same port over TCP and UDP gets the same nodePort. */
  #takeNodePorts(service: Service, had: ReadonlySet<number>, transaction: Transaction): void {
    if (!needsNodePort(service)) return;
    const ports = service.spec.ports ?? [];
    const chosen = new Map<number, number>();
    const mine = new Set(had);
    const allocates = service.spec.type !== 'LoadBalancer' || service.spec.allocateLoadBalancerNodePorts !== false;
    for (const [i, port] of ports.entries()) {
      if (!port.nodePort && !allocates) continue;
      const wanted = port.nodePort || chosen.get(port.port) || requestedFor(port, ports);
      if (wanted && mine.has(wanted)) port.nodePort = wanted;
      else {
        port.nodePort = this.#takePort(wanted, service, `${at('spec.ports', i)}.nodePort`, transaction);
        mine.add(port.nodePort);
      }
      if (!chosen.has(port.port)) chosen.set(port.port, port.nodePort);
    }
  }

  #takeHealthPort(service: Service, had: number, transaction: Transaction): void {
    const { spec } = service;
    if (!needsHealthCheckNodePort(service)) return;
    if (spec.healthCheckNodePort && spec.healthCheckNodePort === had) return;
    spec.healthCheckNodePort = this.#takePort(
      spec.healthCheckNodePort,
      service,
      'spec.healthCheckNodePort',
      transaction,
    );
  }

  #takePort(wanted: number | undefined, service: Service, field: string, transaction: Transaction): number {
    let port: number;
    try {
      if (wanted) {
        port = wanted;
        this.#ports.allocate(wanted);
      } else port = this.#ports.allocateNext();
    } catch (error) {
      if (!(error instanceof AllocationError)) throw error;
      if (!wanted) throw internal(`failed to allocate a nodePort: ${error.message}`);
      throw refused(service, field, wanted, error.message);
    }
    transaction.took(() => this.#ports.release(port));
    return port;
  }
}

function addressOf({ spec }: Service): number | undefined {
  return spec.type === 'ExternalName' || !spec.clusterIP ? undefined : parseIPv4(spec.clusterIP);
}

function nodePortsOf({ spec }: Service): Set<number> {
  const ports = (spec.ports ?? []).map((p) => p.nodePort ?? 0);
  return new Set([...ports, spec.healthCheckNodePort ?? 0].filter((p) => p > 0));
}

/** A nodePort that another protocol of the same port asks for. */
function requestedFor(port: ServicePort, ports: readonly ServicePort[]): number | undefined {
  return ports.find((p) => p.port === port.port && p.nodePort)?.nodePort;
}

function refused(service: Service, field: string, value: unknown, why: string): StatusError {
  const errors = new FieldErrors();
  errors.invalid(field, value, why);
  return invalid(SERVICES, service.metadata.name ?? '', errors.causes);
}

function internal(why: string): StatusError {
  return new StatusError('InternalError', 500, `Internal error occurred: ${why}`);
}
