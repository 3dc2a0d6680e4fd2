// The fields of the real KubeProxyConfiguration (k8s.io/kube-proxy/config/v1alpha1/types.go, v1.34), and which of them mean
// anything here: a document may hold any of them, and whoever reads it is told of those that do nothing.

/** 'unused': there is nothing here that it could change. */
type Field = 'used' | 'unused' | { readonly [name: string]: Field };

const SYNC = { syncPeriod: 'used', minSyncPeriod: 'used' } as const;

const FIELDS: { readonly [name: string]: Field } = {
  apiVersion: 'used',
  kind: 'used',
  metadata: 'used',
  featureGates: 'unused',
  clientConnection: 'unused', // the API is reached in process, or as --api says
  logging: 'unused',
  hostnameOverride: 'used',
  bindAddress: 'used',
  healthzBindAddress: 'used',
  metricsBindAddress: 'used',
  bindAddressHardFail: 'unused',
  enableProfiling: 'unused',
  showHiddenMetricsForVersion: 'unused',
  mode: 'used',
  iptables: { ...SYNC, masqueradeBit: 'used', masqueradeAll: 'used', localhostNodePorts: 'used' },
  ipvs: {
    ...SYNC,
    scheduler: 'used',
    excludeCIDRs: 'used',
    strictARP: 'unused', // arp_ignore is 1 always
    tcpTimeout: 'used',
    tcpFinTimeout: 'used',
    udpTimeout: 'used',
  },
  nftables: { ...SYNC, masqueradeBit: 'used', masqueradeAll: 'used' },
  winkernel: 'unused',
  detectLocalMode: 'used',
  detectLocal: { bridgeInterface: 'used', interfaceNamePrefix: 'used' },
  clusterCIDR: 'used',
  nodePortAddresses: 'used',
  oomScoreAdj: 'unused',
  conntrack: 'unused',
  configSyncPeriod: 'unused', // informers here do not resync
  portRange: 'unused', // as in the real one: kept for old documents
  windowsRunAsService: 'unused',
};

export interface FieldWarning {
  readonly path: readonly string[];
  readonly message: string;
}

/** Of fields that do not exist, and of those that are set and do nothing. */
export function fieldWarnings(document: object): FieldWarning[] {
  return warningsOf(document, FIELDS, []);
}

function warningsOf(value: object, known: { readonly [name: string]: Field }, path: readonly string[]): FieldWarning[] {
  return Object.entries(value).flatMap(([name, inner]: [string, unknown]) => {
    const at = [...path, name];
    const field = Object.hasOwn(known, name) ? known[name] : undefined;
    if (field === undefined) return [{ path: at, message: `unknown field "${at.join('.')}"` }];
    if (field === 'used' || isUnset(inner)) return [];
    if (field === 'unused') return [{ path: at, message: `${at.join('.')} has no effect here` }];
    return inner !== null && typeof inner === 'object' ? warningsOf(inner, field, at) : [];
  });
}

/** As kubeadm writes what nobody has set: null, empty, 0, false, or an object of such. */
function isUnset(value: unknown): boolean {
  if (value === null || typeof value !== 'object') return !value || value === '0s';
  return Object.values(value).every(isUnset);
}
