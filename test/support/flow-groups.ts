// A sample of upstream's packet-flow tables (test/fixtures/proxy-flows.json, made from kubernetes/kubernetes pkg/proxy/*_test.go;
// its own `sources` say which), and more situations after the same tests, IPv6 and the other modes included (proxy-flows-more.json), as what `podwire trace -f OBJECTS --flows FLOWS` takes: objects with a KubeProxyConfiguration and a
// Node that carry a group's configuration, and flows with what is expected in a mode.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PROXY_MODES, type ProxyMode } from '../../src/proxy/config.ts';

interface Expect {
  readonly verdict: string;
  readonly endpoints?: readonly string[];
  readonly masquerade?: boolean;
}

interface GroupFlow {
  readonly name: string;
  readonly source: string;
  readonly protocol: string;
  readonly dest: string;
  readonly port: number;
  readonly modes?: readonly ProxyMode[];
  readonly expect: Expect;
  readonly expectByMode?: Partial<Record<ProxyMode, Expect>>;
}

interface SampleObject {
  readonly kind: string;
  readonly metadata: { readonly namespace: string; readonly name: string };
}

interface Group {
  readonly id: string;
  readonly modes: readonly ProxyMode[];
  readonly config: Record<string, unknown>;
  readonly objects: readonly SampleObject[];
  readonly flows: readonly GroupFlow[];
  readonly phases?: readonly { readonly delete: readonly string[]; readonly flows: readonly GroupFlow[] }[];
}

/** One run of the command. */
export interface FlowRun {
  readonly name: string;
  readonly mode: ProxyMode;
  readonly objects: unknown;
  readonly flows: readonly Record<string, unknown>[];
}

const NODE_IPS = ['192.168.0.2', '192.168.1.2', '192.168.99.11', '2001:db8::1', '2001:db8:1::2'];
export const FIXTURES = join(import.meta.dirname, '../../../test/fixtures');
export const SAMPLE = 'proxy-flows.json';
export const MORE = 'proxy-flows-more.json';

/** Every group of a file, once for each of its modes and phases. */
export function flowRuns(file: string): FlowRun[] {
  const { groups } = JSON.parse(readFileSync(join(FIXTURES, file), 'utf8')) as { groups: Group[] };
  const runs: FlowRun[] = [];
  for (const group of groups) {
    for (const mode of PROXY_MODES.filter((m) => group.modes.includes(m))) {
      let { objects } = group;
      const add = (name: string, flows: readonly GroupFlow[]): void => {
        const items = [...objects, kubeProxy(group.config, mode), node(group.config)];
        const own = flows.filter((flow) => flow.modes?.includes(mode) ?? true).map((flow) => asked(flow, mode));
        runs.push({ name, mode, objects: { apiVersion: 'v1', kind: 'List', items }, flows: own });
      };
      add(group.id, group.flows);
      group.phases?.forEach((phase, i) => {
        objects = objects.filter((o) => !phase.delete.includes(`${o.kind} ${o.metadata.namespace}/${o.metadata.name}`));
        add(`${group.id}, phase ${i + 1}`, phase.flows);
      });
    }
  }
  return runs;
}

function asked(
  { name, source, protocol, dest, port, expect, expectByMode }: GroupFlow,
  mode: ProxyMode,
): Record<string, unknown> {
  return {
    name,
    from: source,
    to: dest.includes(':') ? `[${dest}]:${port}` : `${dest}:${port}`,
    protocol: protocol.toLowerCase(),
    expect: expectByMode?.[mode] ?? expect,
  };
}

function kubeProxy(config: Record<string, unknown>, mode: ProxyMode): unknown {
  const { masqueradeAll = false, localhostNodePorts = true, nodePortAddresses = null } = config;
  return {
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    mode,
    clusterCIDR: '10.0.0.0/8,fd00:10::/64',
    nodePortAddresses,
    iptables: { masqueradeAll, localhostNodePorts },
    nftables: { masqueradeAll },
  };
}

function node(config: Record<string, unknown>): unknown {
  const labels = typeof config.zone === 'string' ? { 'topology.kubernetes.io/zone': config.zone } : {};
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'test-node', labels },
    status: { addresses: NODE_IPS.map((address) => ({ type: 'InternalIP', address })) },
  };
}
