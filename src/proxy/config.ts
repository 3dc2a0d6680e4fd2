// What kube-proxy is told: the fields of KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1) that the modes use, with
// its defaults. Wrong values are refused by name. A field that the real type does not have, or that means nothing here, is
// warned of and otherwise passed over, as the real kube-proxy's lenient decoding does (cmd/kube-proxy/app/options.go, v1.32).
// Durations are Go's (`30s`, `1m30s`) in the document, microseconds here.
import { familyOf, type IpAddress, type IpPrefix, parseIpAddress, parseIpPrefix } from '../tcpip-ts/wire/ip-address.ts';

/** Network address and prefix length. */
export type Cidr = IpPrefix;

export const PROXY_MODES = ['iptables', 'ipvs', 'nftables'] as const;
export type ProxyMode = (typeof PROXY_MODES)[number];

/** All of Linux's. */
// biome-ignore format: one list
export const IPVS_SCHEDULERS = ['rr', 'wrr', 'lc', 'wlc', 'sed', 'nq', 'sh', 'dh', 'mh', 'lblc', 'lblcr', 'fo', 'ovf', 'twos'] as const;

/** Where kubeadm keeps the document. */
export const CONFIG_MAP = { namespace: 'kube-system', name: 'kube-proxy', key: 'config.conf' } as const;

const LOCAL_MODES = ['ClusterCIDR', 'NodeCIDR', 'BridgeInterface', 'InterfaceNamePrefix'] as const;

export interface SyncPeriods {
  /** Least time between syncs. */
  readonly minSyncPeriodUs: number;
  /** Most time between them. */
  readonly syncPeriodUs: number;
}

/** Where one of its own servers listens. */
export interface ListenAddress {
  /** `0.0.0.0`: all of the Node's. */
  readonly host: string;
  readonly port: number;
}

export interface KubeProxyConfig {
  readonly mode: ProxyMode;
  /** How Pods' traffic is told from others'; see local-detector.ts. */
  readonly detectLocalMode: (typeof LOCAL_MODES)[number];
  readonly bridgeInterface: string;
  readonly interfaceNamePrefix: string;
  /** Where Pods live, one range a family: traffic to a ClusterIP from elsewhere is masqueraded. Without one it cannot be told. */
  readonly clusterCIDRs: readonly Cidr[];
  readonly masqueradeAll: boolean;
  /** The masquerade mark is 1 << masqueradeBit. */
  readonly masqueradeBit: number;
  /** Node addresses that take NodePorts; empty: the mode's default (all of them; nftables: the primary one). */
  readonly nodePortAddresses: readonly Cidr[];
  /** The nodePortAddresses are `primary`: the Node's primary address takes NodePorts. */
  readonly nodePortPrimary: boolean;
  /** Whether NodePorts answer on 127.0.0.0/8; iptables mode only. */
  readonly localhostNodePorts: boolean;
  /** What is taken for the Node's address of that family instead of its InternalIP; undefined: that one. */
  readonly bindAddress: IpAddress | undefined;
  readonly healthzBindAddress: ListenAddress;
  readonly metricsBindAddress: ListenAddress;
  readonly iptables: SyncPeriods;
  readonly nftables: SyncPeriods;
  readonly ipvs: SyncPeriods & {
    readonly scheduler: (typeof IPVS_SCHEDULERS)[number];
    /** Virtual servers in these are not ours and left alone. */
    readonly excludeCIDRs: readonly Cidr[];
    /** 0: the kernel's own. */
    readonly tcpTimeoutS: number;
    readonly tcpFinTimeoutS: number;
    readonly udpTimeoutS: number;
  };
}

export const DEFAULT_CONFIG: KubeProxyConfig = {
  mode: 'iptables',
  detectLocalMode: 'ClusterCIDR',
  bridgeInterface: '',
  interfaceNamePrefix: '',
  clusterCIDRs: [],
  masqueradeAll: false,
  masqueradeBit: 14,
  nodePortAddresses: [],
  nodePortPrimary: false,
  localhostNodePorts: true,
  bindAddress: undefined,
  healthzBindAddress: { host: '0.0.0.0', port: 10256 },
  metricsBindAddress: { host: '127.0.0.1', port: 10249 },
  iptables: { minSyncPeriodUs: 1e6, syncPeriodUs: 30e6 },
  nftables: { minSyncPeriodUs: 1e6, syncPeriodUs: 30e6 },
  ipvs: {
    scheduler: 'rr',
    minSyncPeriodUs: 0,
    syncPeriodUs: 30e6,
    excludeCIDRs: [],
    tcpTimeoutS: 0,
    tcpFinTimeoutS: 0,
    udpTimeoutS: 0,
  },
};

/** A field that cannot be: where it is in the document, and what was expected of it. */
export class ConfigError extends TypeError {
  override readonly name = 'ConfigError';
  readonly path: readonly string[];

  constructor(path: readonly string[], message: string) {
    super(`${['KubeProxyConfiguration', ...path].join('.')}: ${message}`);
    this.path = path;
  }
}

/**
 * Reads a KubeProxyConfiguration document; `mode` overrides the document's. Throws ConfigError. Deviation: where the `nftables` section
 * does not say masqueradeAll or masqueradeBit, the `iptables` one's hold. Deviation: a minSyncPeriod of 0s
 * is taken as it is said; the real one takes the iptables and nftables modes' default of 1s for it (v1alpha1/defaults.go).
 */
export function parseKubeProxyConfiguration(document: unknown, mode?: ProxyMode): KubeProxyConfig {
  const root = new Fields(document, []);
  const kind = root.string('kind', 'KubeProxyConfiguration');
  if (kind !== 'KubeProxyConfiguration')
    throw new ConfigError(['kind'], `expected KubeProxyConfiguration, not ${kind}`);
  const defaults = DEFAULT_CONFIG;
  const chosen = mode ?? root.oneOf('mode', PROXY_MODES, defaults.mode);
  const ipvs = root.object('ipvs');
  const iptables = root.object('iptables');
  const nftables = root.object('nftables');
  const detectLocal = root.object('detectLocal');
  const clusterCIDR = root.string('clusterCIDR', '');
  const nodePortAddresses = root.strings('nodePortAddresses');
  const isPrimary = nodePortAddresses.includes('primary');
  if (isPrimary && nodePortAddresses.length > 1)
    throw root.error('nodePortAddresses', "can't use both 'primary' and CIDRs");
  const masqueradeAll = iptables.boolean('masqueradeAll', defaults.masqueradeAll);
  const masqueradeBit = iptables.bit('masqueradeBit', defaults.masqueradeBit);
  const isNft = chosen === 'nftables';
  const detectLocalMode = root.oneOf('detectLocalMode', LOCAL_MODES, defaults.detectLocalMode);
  const needed = { BridgeInterface: 'bridgeInterface', InterfaceNamePrefix: 'interfaceNamePrefix' } as const;
  if (detectLocalMode in needed) detectLocal.notEmpty(needed[detectLocalMode as keyof typeof needed]);
  return {
    mode: chosen,
    detectLocalMode,
    bridgeInterface: detectLocal.string('bridgeInterface', ''),
    interfaceNamePrefix: detectLocal.string('interfaceNamePrefix', ''),
    clusterCIDRs: clusterCIDR === '' ? [] : oneOfEachFamily(cidrsOf(['clusterCIDR'], clusterCIDR.split(','))),
    masqueradeAll: isNft ? nftables.boolean('masqueradeAll', masqueradeAll) : masqueradeAll,
    masqueradeBit: isNft ? nftables.bit('masqueradeBit', masqueradeBit) : masqueradeBit,
    nodePortAddresses: isPrimary ? [] : cidrsOf(['nodePortAddresses'], nodePortAddresses),
    nodePortPrimary: isPrimary,
    localhostNodePorts: iptables.boolean('localhostNodePorts', defaults.localhostNodePorts),
    bindAddress: root.boundAddress('bindAddress'),
    healthzBindAddress: root.listenAddress('healthzBindAddress', defaults.healthzBindAddress),
    metricsBindAddress: root.listenAddress('metricsBindAddress', defaults.metricsBindAddress),
    iptables: syncPeriods(iptables, defaults.iptables),
    nftables: syncPeriods(nftables, defaults.nftables),
    ipvs: {
      ...syncPeriods(ipvs, defaults.ipvs),
      scheduler: ipvs.oneOf('scheduler', IPVS_SCHEDULERS, defaults.ipvs.scheduler),
      excludeCIDRs: cidrsOf(['ipvs', 'excludeCIDRs'], ipvs.strings('excludeCIDRs')),
      tcpTimeoutS: ipvs.durationUs('tcpTimeout', 0) / 1e6,
      tcpFinTimeoutS: ipvs.durationUs('tcpFinTimeout', 0) / 1e6,
      udpTimeoutS: ipvs.durationUs('udpTimeout', 0) / 1e6,
    },
  };
}

function syncPeriods(section: Fields, defaults: SyncPeriods): SyncPeriods {
  const minSyncPeriodUs = section.durationUs('minSyncPeriod', defaults.minSyncPeriodUs);
  const syncPeriodUs = section.durationUs('syncPeriod', 0) || defaults.syncPeriodUs;
  if (syncPeriodUs < minSyncPeriodUs)
    throw section.error('syncPeriod', 'must be greater than or equal to minSyncPeriod');
  return { minSyncPeriodUs, syncPeriodUs };
}

const UNITS_US: Readonly<Record<string, number>> = {
  ns: 1e-3,
  us: 1,
  '\u00b5s': 1,
  '\u03bcs': 1,
  ms: 1e3,
  s: 1e6,
  m: 60e6,
  h: 3600e6,
};

/** A Go duration in microseconds, or undefined: also for one below zero, which no field may be. */
export function parseDurationUs(text: string): number | undefined {
  if (text === '0') return 0;
  const term = /(\d+\.?\d*|\.\d+)(ns|us|\u00b5s|\u03bcs|ms|s|m|h)/g; // both letters mu
  if (text === '' || text.replace(term, '') !== '') return undefined;
  let sum = 0;
  for (const [, amount, unit] of text.matchAll(term)) sum += Number(amount) * UNITS_US[unit!]!;
  return sum;
}

function cidrsOf(path: readonly string[], texts: readonly string[]): Cidr[] {
  return texts.map((text) => {
    const cidr = text.includes('/') ? parseIpPrefix(text.trim()) : undefined;
    if (!cidr) {
      const address = parseIpAddress(text.trim());
      const one =
        address === undefined ? '' : `; that address alone is ${text.trim()}/${typeof address === 'bigint' ? 128 : 32}`;
      throw new ConfigError(path, `expected ADDRESS/LENGTH, not ${text}${one}`);
    }
    return cidr;
  });
}

function oneOfEachFamily(cidrs: Cidr[]): Cidr[] {
  const families = new Set(cidrs.map(([address]) => familyOf(address)));
  if (families.size < cidrs.length)
    throw new ConfigError(
      ['clusterCIDR'],
      'must be one CIDR, or one of each family, such as 10.244.0.0/16,fd00:10:244::/56',
    );
  return cidrs;
}

/** The fields of one object of the document, by type. */
class Fields {
  readonly #values: Readonly<Record<string, unknown>>;
  readonly #path: readonly string[];

  constructor(value: unknown, path: readonly string[]) {
    if (value !== undefined && value !== null && (typeof value !== 'object' || Array.isArray(value)))
      throw new ConfigError(path, 'expected an object');
    this.#values = (value ?? {}) as Record<string, unknown>;
    this.#path = path;
  }

  object(name: string): Fields {
    return new Fields(this.#values[name], [...this.#path, name]);
  }

  string(name: string, fallback: string): string {
    return this.#typed(name, 'string', fallback);
  }

  notEmpty(name: string): void {
    if (this.string(name, '') === '') throw this.error(name, 'must not be empty');
  }

  /** An empty text is the default, as in the real one. */
  oneOf<T extends string>(name: string, choices: readonly T[], fallback: T): T {
    const value = this.string(name, '') || fallback;
    const choice = choices.find((c) => c === value);
    if (choice === undefined) throw this.error(name, `expected ${choices.join(', ')}, not ${value}`);
    return choice;
  }

  boolean(name: string, fallback: boolean): boolean {
    return this.#typed(name, 'boolean', fallback);
  }

  /** Of a mark, which has 32. */
  bit(name: string, fallback: number): number {
    const value = this.#typed(name, 'number', fallback);
    if (!Number.isInteger(value) || value < 0 || value > 31)
      throw this.error(name, `expected a bit from 0 to 31, not ${value}`);
    return value;
  }

  strings(name: string): string[] {
    const value = this.#values[name] ?? [];
    if (Array.isArray(value) && value.every((v) => typeof v === 'string')) return value;
    throw this.error(name, 'expected a list of strings');
  }

  durationUs(name: string, fallback: number): number {
    const value = this.#values[name];
    if (value === undefined || value === null) return fallback;
    const us = typeof value === 'string' ? parseDurationUs(value) : value === 0 ? 0 : undefined;
    if (us === undefined) throw this.error(name, `expected a duration such as 30s, not ${String(value)}`);
    return us;
  }

  /** `IP` or `IP:PORT`; an empty text is the default. All addresses of IPv6 are all that there are. */
  listenAddress(name: string, fallback: ListenAddress): ListenAddress {
    const text = String(this.#values[name] ?? '');
    if (text === '') return fallback;
    const [, bracketed, host = bracketed, digits] = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?$/.exec(text) ?? ['', text];
    const port = digits === undefined ? fallback.port : Number(digits);
    if (host === undefined || parseIpAddress(host) === undefined || port < 1 || port > 65535)
      throw this.error(name, `expected IP or IP:PORT, not ${text}`);
    return { host: host === '::' ? '0.0.0.0' : host, port };
  }

  /** Undefined: none, or all that there are. */
  boundAddress(name: string): IpAddress | undefined {
    const text = this.string(name, '');
    if (text === '') return undefined;
    const address = parseIpAddress(text);
    if (address === undefined) throw this.error(name, `expected an IP address, not ${text}`);
    return address === 0 || address === 0n ? undefined : address;
  }

  error(name: string, message: string): ConfigError {
    return new ConfigError([...this.#path, name], message);
  }

  #typed<T>(name: string, type: string, fallback: T): T {
    const value = this.#values[name];
    if (value === undefined || value === null) return fallback;
    if (typeof value !== type) throw this.error(name, `expected a ${type}`);
    return value as T;
  }
}
