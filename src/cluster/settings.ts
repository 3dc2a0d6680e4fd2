// What a cluster is made with. Plain data: it crosses to the Nodes' threads as it is.
import type { Image } from '../node/images.ts';
import type { ResolvConf } from '../node/kubelet/resolv-conf.ts';
import type { ProxyMode } from '../proxy/config.ts';

export type RuntimeHandler = 'netns' | 'userspace';

export interface ClusterSettings {
  readonly clusterDomain: string;
  readonly serviceCIDR: string;
  /** Of all Pods; each Node has a part. */
  readonly podCIDR: string;
  /** ClusterIP of default/kubernetes and of kube-dns. */
  readonly apiServiceIP: string;
  readonly clusterDNS: string;
  readonly nodes: readonly NodeSettings[];
  readonly proxyMode: ProxyMode;
  readonly ipvsScheduler: string;
  /** Which of the two above somebody asked for: those hold even if an earlier run on the same store left others. */
  readonly askedOfProxy: { readonly mode?: ProxyMode | undefined; readonly scheduler?: string | undefined };
  /** Of Pods that name no RuntimeClass. */
  readonly defaultRuntime: RuntimeHandler;
  /** Whether TAPs carry super-segments and partial checksums. */
  readonly offload: boolean;
  readonly images: readonly Image[];
  /** The host's resolver configuration, for Pods with dnsPolicy Default; CoreDNS forwards to its nameservers. */
  readonly hostResolvConf: ResolvConf;
  /** A private directory for the files of netns Pods. */
  readonly stateDir: string;
  /** Prefix of the names of network namespaces. */
  readonly netnsPrefix: string;
}

export interface NodeSettings {
  readonly name: string;
  /** InternalIP, in the Node network. */
  readonly address: string;
  readonly podCIDR: string;
}

/** More than one need a network between them (VXLAN), which is not there yet. */
const MAX_NODES = 1;

/** Names, addresses and Pod networks of `count` Nodes: 192.168.49.2 and up, a /24 of 10.244.0.0/16 each. */
export function nodeSettings(count: number): NodeSettings[] {
  if (!Number.isInteger(count) || count < 1 || count > MAX_NODES) {
    throw new RangeError(`--nodes ${count}: only one Node is supported so far (there is no network between Nodes yet)`);
  }
  return Array.from({ length: count }, (_, i) => ({
    name: `node-${i + 1}`,
    address: `192.168.49.${i + 2}`,
    podCIDR: `10.244.${i}.0/24`,
  }));
}

export function defaultSettings(
  overrides: Partial<ClusterSettings> & Pick<ClusterSettings, 'stateDir' | 'defaultRuntime'>,
): ClusterSettings {
  return {
    clusterDomain: 'cluster.local',
    serviceCIDR: '10.96.0.0/12',
    podCIDR: '10.244.0.0/16',
    apiServiceIP: '10.96.0.1',
    clusterDNS: '10.96.0.10',
    nodes: nodeSettings(1),
    proxyMode: 'ipvs',
    ipvsScheduler: 'rr',
    askedOfProxy: {},
    offload: true,
    images: [],
    hostResolvConf: { nameservers: [], searches: [], options: [] },
    netnsPrefix: 'pw_',
    ...overrides,
  };
}
