// kube-proxy's configuration in a running cluster: ConfigMap kube-proxy of kube-system with a KubeProxyConfiguration in
// `config.conf`, as kubeadm makes it (cmd/kubeadm/app/phases/addons/proxy/manifests.go, 1.32). A Node follows it.
//
// Deviation: an edit takes effect at once; a real cluster wants its kube-proxy Pods restarted. What does not parse is refused
// with an Event, and the configuration before it stays.
import { isNode, LineCounter, parse, parseDocument, stringify } from 'yaml';
import type { ConfigMap } from '../api/core-v1.ts';
import type { KubeObject } from '../api/meta.ts';
import { CONFIGMAPS } from '../api/resources.ts';
import { isStatus } from '../api/status-error.ts';
import type { ApiClient } from '../client/client.ts';
import { Informer } from '../client/informer.ts';
import type { Clock } from '../lib/clock.ts';
import {
  CONFIG_MAP,
  ConfigError,
  type KubeProxyConfig,
  type ProxyMode,
  parseKubeProxyConfiguration,
} from '../proxy/config.ts';
import { fieldWarnings } from '../proxy/config-fields.ts';
import type { KubeProxy, ProxyNotice } from '../proxy/kube-proxy.ts';
import type { ClusterSettings } from './settings.ts';

const { namespace: NAMESPACE, name: NAME, key: KEY } = CONFIG_MAP;
/** The parser's own warnings would go to stderr. */
const QUIET = { logLevel: 'error' } as const;

type ProxySettings = Pick<ClusterSettings, 'proxyMode' | 'ipvsScheduler' | 'podCIDR'>;

/** What a cluster with these settings begins with. */
export function initialProxyConfig(settings: ProxySettings): KubeProxyConfig {
  return parseKubeProxyConfiguration(documentOf(settings));
}

/** Makes the ConfigMap. In one of an earlier run only the mode and scheduler that were asked for change, everything else stays. */
export async function ensureProxyConfig(
  client: ApiClient,
  settings: ProxySettings,
  asked: ClusterSettings['askedOfProxy'],
): Promise<void> {
  const configMap: ConfigMap = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { namespace: NAMESPACE, name: NAME, labels: { app: 'kube-proxy' } },
    data: { [KEY]: stringify(documentOf(settings)) },
  };
  try {
    await client.create(CONFIGMAPS, configMap);
  } catch (error) {
    if (!isStatus(error, 'AlreadyExists')) throw error;
    if (!asked.mode && !asked.scheduler) return;
    const present = await client.get(CONFIGMAPS, NAMESPACE, NAME);
    const text = changed(present.data?.[KEY] ?? '', asked) ?? configMap.data![KEY]!;
    await client.update(CONFIGMAPS, { ...present, data: { ...present.data, [KEY]: text } });
  }
}

/** The document with what was asked for in it, comments and all; undefined when it is no configuration. */
function changed(text: string, { mode, scheduler }: ClusterSettings['askedOfProxy']): string | undefined {
  const document = parseDocument(text);
  try {
    if (mode) document.setIn(['mode'], mode);
    if (scheduler) document.setIn(['ipvs', 'scheduler'], scheduler);
    parseKubeProxyConfiguration(document.toJS());
    return String(document);
  } catch {
    return undefined;
  }
}

/** The mode of the ConfigMap, which Nodes follow; that of the settings while it makes no sense. */
export async function proxyModeOf(client: ApiClient, settings: ProxySettings): Promise<ProxyMode> {
  try {
    const { data } = await client.get(CONFIGMAPS, NAMESPACE, NAME);
    return parseKubeProxyConfiguration(parse(data?.[KEY] ?? '', QUIET)).mode;
  } catch {
    return settings.proxyMode;
  }
}

function documentOf({ proxyMode, ipvsScheduler, podCIDR }: ProxySettings): object {
  // A sync costs little here, so none waits for kube-proxy's usual second: what is ready can be reached.
  const periods = { minSyncPeriod: '0s', syncPeriod: '30s' };
  return {
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    mode: proxyMode,
    clusterCIDR: podCIDR,
    iptables: { ...periods, masqueradeAll: false, masqueradeBit: 14, localhostNodePorts: true },
    ipvs: { ...periods, scheduler: ipvsScheduler, excludeCIDRs: [] },
    nftables: { ...periods, masqueradeAll: false, masqueradeBit: 14 },
    nodePortAddresses: [],
  };
}

export interface ProxyConfigWatchOptions {
  readonly client: ApiClient;
  readonly clock: Clock;
  readonly proxy: KubeProxy;
  readonly event: (about: KubeObject, type: 'Normal' | 'Warning', reason: string, message: string) => void;
  readonly onError: (error: unknown) => void;
}

/** Hands the ConfigMap's configuration to kube-proxy whenever it changes. */
export class ProxyConfigWatch {
  readonly #options: ProxyConfigWatchOptions;
  readonly #configMaps: Informer<ConfigMap>;
  /** Null before there is any; undefined: the key is not there. */
  #text: string | undefined | null = null;

  constructor(options: ProxyConfigWatchOptions) {
    const { client, clock, onError } = options;
    this.#options = options;
    const fieldSelector = `metadata.name=${NAME},metadata.namespace=${NAMESPACE}`;
    this.#configMaps = new Informer({ client, clock, onError, type: CONFIGMAPS, fieldSelector });
    this.#configMaps.addHandler({
      add: (configMap) => this.#take(configMap),
      update: (_old, configMap) => this.#take(configMap),
    });
  }

  /** Resolves when the configuration that is there has been handed over: before kube-proxy starts, it is what it starts with. */
  start(): Promise<void> {
    this.#configMaps.start();
    return this.#configMaps.synced;
  }

  close(): void {
    this.#configMaps.close();
  }

  #take(configMap: ConfigMap): void {
    const text = configMap.data?.[KEY];
    if (text === this.#text) return;
    this.#text = text;
    const { proxy, event, onError } = this.#options;
    const tell = ({ type, reason, message }: ProxyNotice): void => {
      event(configMap, type, reason, message);
      if (type === 'Warning') onError(new Error(`kube-proxy: ${message}`));
    };
    try {
      if (text === undefined) throw new Error(`the ConfigMap has no key ${KEY}`);
      const { config, warnings } = read(text);
      for (const message of warnings) tell({ type: 'Warning', reason: 'ProxyConfigIgnored', message });
      for (const notice of proxy.reconfigure(config)) tell(notice);
    } catch (error) {
      const message = `${error instanceof Error ? error.message : String(error)}; kube-proxy goes on as before`;
      tell({ type: 'Warning', reason: 'ProxyConfigRefused', message });
    }
  }
}

/** A text of the ConfigMap; what is wrong with it begins with its place, `config.conf:3:7: `. Throws Error. */
function read(text: string): { readonly config: KubeProxyConfig; readonly warnings: readonly string[] } {
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { ...QUIET, prettyErrors: false, lineCounter });
  const at = (offset: number, message: string): string => {
    const { line, col } = lineCounter.linePos(offset);
    return `${KEY}:${Math.max(1, line)}:${Math.max(1, col)}: ${message}`;
  };
  /** Where the field is; of one that is not there, what holds it. */
  const offsetOf = (path: readonly string[]): number => {
    const node = path.length > 0 ? document.getIn(path, true) : document.contents;
    if (isNode(node)) return node.range?.[0] ?? 0;
    return path.length > 0 ? offsetOf(path.slice(0, -1)) : 0;
  };
  const [wrong] = document.errors;
  if (wrong) throw new Error(at(wrong.pos[0], wrong.message));
  const value: unknown = document.toJS();
  if (value === null || typeof value !== 'object') throw new Error(at(0, 'expected a KubeProxyConfiguration'));
  try {
    const warnings = fieldWarnings(value).map(({ path, message }) => at(offsetOf(path), message));
    return { config: parseKubeProxyConfiguration(value), warnings };
  } catch (error) {
    throw error instanceof ConfigError ? new Error(at(offsetOf(error.path), error.message), { cause: error }) : error;
  }
}
