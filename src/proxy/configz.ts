// What kube-proxy runs with, as its /configz tells it: the fields of its internal configuration (pkg/proxy/apis/config/types.go, v1.34)
// that mean something here, under their names in Go, for the type has no others. Defaults are filled in.
import { formatIpPrefix } from '../tcpip-ts/wire/ip-address.ts';
import type { Cidr, KubeProxyConfig, ListenAddress } from './config.ts';

export function configz(config: KubeProxyConfig): object {
  const { mode, masqueradeBit, ipvs, nodePortPrimary, nodePortAddresses } = config;
  const { syncPeriodUs, minSyncPeriodUs } = config[mode];
  return {
    'kubeproxy.config.k8s.io': {
      Linux: { MasqueradeAll: config.masqueradeAll },
      HealthzBindAddress: hostPort(config.healthzBindAddress),
      MetricsBindAddress: hostPort(config.metricsBindAddress),
      Mode: mode,
      IPTables: { MasqueradeBit: masqueradeBit, LocalhostNodePorts: config.localhostNodePorts },
      IPVS: {
        Scheduler: ipvs.scheduler,
        ExcludeCIDRs: cidrs(ipvs.excludeCIDRs),
        TCPTimeout: duration(ipvs.tcpTimeoutS * 1e6),
        TCPFinTimeout: duration(ipvs.tcpFinTimeoutS * 1e6),
        UDPTimeout: duration(ipvs.udpTimeoutS * 1e6),
      },
      NFTables: { MasqueradeBit: masqueradeBit },
      DetectLocalMode: config.detectLocalMode,
      DetectLocal: {
        BridgeInterface: config.bridgeInterface,
        ClusterCIDRs: cidrs(config.clusterCIDRs),
        InterfaceNamePrefix: config.interfaceNamePrefix,
      },
      NodePortAddresses: nodePortPrimary ? ['primary'] : cidrs(nodePortAddresses),
      SyncPeriod: duration(syncPeriodUs),
      MinSyncPeriod: duration(minSyncPeriodUs),
    },
  };
}

function cidrs(list: readonly Cidr[]): string[] {
  return list.map(formatIpPrefix);
}

function hostPort({ host, port }: ListenAddress): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** As Go's Duration prints it: `30s`, `1m30s`, `1h0m0s`, `500ms`, `1.5s`. */
export function duration(us: number): string {
  if (us === 0) return '0s';
  if (us < 1000) return `${us}µs`;
  if (us < 1e6) return `${us / 1000}ms`;
  const [hours, minutes, seconds] = [Math.floor(us / 3600e6), Math.floor(us / 60e6) % 60, (us % 60e6) / 1e6];
  return `${hours > 0 ? `${hours}h` : ''}${hours > 0 || minutes > 0 ? `${minutes}m` : ''}${seconds}s`;
}
