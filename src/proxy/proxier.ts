// What a proxier is: the part of kube-proxy that brings the kernel in line with the service ports. One folder a kind (ipvs/,
// iptables/, nftables/); kube-proxy.ts chooses by the configuration's mode. After the Provider interface of pkg/proxy/types.go.

import type { Clock } from '../lib/clock.ts';
import type { IpAddress, IpFamily } from '../tcpip-ts/wire/ip-address.ts';
import type { Cidr, KubeProxyConfig } from './config.ts';
import type { Netlink } from './either-family.ts';
import type { Endpoint } from './endpoints.ts';
import type { LocalDetector } from './local-detector.ts';
import type { ServicePort } from './service-port.ts';

/** FullSyncPeriod of pkg/proxy/util: after that long a sync writes everything, whatever has changed. */
export const FULL_SYNC_PERIOD_US = 3600e6;

export interface ProxierOptions {
  readonly netlink: Netlink;
  readonly clock: Clock;
  readonly nodeName: string;
  /** Of the traffic that it is for; its input is of that family alone. */
  readonly family?: IpFamily;
  readonly config: KubeProxyConfig;
  /** Told of what fails outside a sync. */
  readonly onError?: (error: unknown) => void;
}

export interface ProxierInput {
  readonly ports: ReadonlyMap<string, ServicePort>;
  readonly endpoints: ReadonlyMap<string, readonly Endpoint[]>;
  /** Keys of service ports that changed, in themselves or in their endpoints, since the last sync. */
  readonly changed: Iterable<string>;
  /** Label topology.kubernetes.io/zone of the Node, '' without. */
  readonly zone: string;
  /** The Node's primary InternalIP of the family. */
  readonly nodeIP: IpAddress | undefined;
  /** How Pods' traffic is told from others'; undefined: it cannot be. */
  readonly local: LocalDetector | undefined;
  /** Networks that ClusterIPs are from, when they are known. */
  readonly serviceCIDRs: readonly Cidr[];
}

export interface Proxier {
  /** What the mode needs of the kernel beside rules (sysctls, timeouts). Throws NetlinkError. */
  prepare(): void;
  /** Brings the kernel in line; returns how many operations it took. Throws NetlinkError; the next sync then starts over. */
  sync(input: ProxierInput): number;
  /**
   * Takes everything of this kind out of the kernel, as `kube-proxy --cleanup`; also what an earlier run left. With `keepConnections`
   * IPVS stays, and the addresses that it serves: see ipvs/leftovers.ts. Throws NetlinkError.
   */
  cleanup(options?: { readonly keepConnections?: boolean }): void;
  /** Stops its timers; the kernel keeps what it holds. Idempotent. */
  close(): void;
}
