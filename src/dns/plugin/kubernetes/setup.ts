// Reads `kubernetes [ZONES...] { ... }` and starts the watches (CoreDNS plugin/kubernetes/setup.go, kubernetes.go
// InitKubeCache). Leaves out, as errors that say so: multicluster, and the options that name another API server (endpoint, tls,
// kubeconfig). Those that slow the client down (apiserver_*) are checked and have no effect: ours sends three requests and waits.
import type { KubeObject } from '../../../api/meta.ts';
import { ENDPOINTSLICES, NAMESPACES, PODS, SERVICES } from '../../../api/resources.ts';
import { type LabelMatcher, parseLabelSelector } from '../../../api/selectors.ts';
import { matchZone } from '../../name.ts';
import type { ResourceRecord } from '../../record.ts';
import { searchOf } from '../../resolv-conf.ts';
import { canonicalAddress, isReverse } from '../../reverse.ts';
import { type Controller, type Plugin, parseDuration, parseInteger } from '../plugin.ts';
import { ExternalView } from './external.ts';
import { Finder, type PodMode } from './finder.ts';
import { Kubernetes, soa } from './handler.ts';
import { ProgrammingLatency } from './metrics.ts';
import { ObjectIndex } from './objects.ts';
import type { ObjectHandlers, Watching } from './source.ts';
import { zoneRecords } from './zone-records.ts';

const NAME = 'kubernetes';
const DEFAULT_TTL = 5;
/** Start waits this long for the first lists, looking every so often, and says so now and then. */
const SYNC_LIMIT_US = 5e6;
const SYNC_POLL_US = 10_000;
const SYNC_LOG_US = 500_000;

interface Settings {
  zones: string[];
  podMode: PodMode;
  namespaces: Set<string>;
  ttl: number;
  fallthrough: string[] | undefined;
  endpointPodNames: boolean;
  ignoreEmptyService: boolean;
  watchEndpoints: boolean;
  zonal: boolean;
  ptrHostnameOnly: boolean;
  startupTimeoutUs: number;
  /** Which Services, EndpointSlices and Pods are served; undefined: all. */
  labels: LabelMatcher | undefined;
  namespaceLabels: LabelMatcher | undefined;
}

export const kubernetesPlugin: Plugin = {
  name: NAME,
  setup(c) {
    let settings: Settings | undefined;
    c.once(() => {
      settings = parse(c);
    });
    if (settings !== undefined) install(c, settings);
  },
};

function parse(c: Controller): Settings {
  const settings: Settings = {
    zones: c.zonesFrom(c.remainingArgs()),
    podMode: 'disabled',
    namespaces: new Set(),
    ttl: DEFAULT_TTL,
    fallthrough: undefined,
    endpointPodNames: false,
    ignoreEmptyService: false,
    watchEndpoints: true,
    zonal: false,
    ptrHostnameOnly: false,
    startupTimeoutUs: SYNC_LIMIT_US,
    labels: undefined,
    namespaceLabels: undefined,
  };
  if (settings.zones.every(isReverse)) throw new Error('non-reverse zone name must be used');
  while (c.nextBlock()) parseOption(c, settings);
  if (settings.namespaces.size > 0 && settings.namespaceLabels !== undefined)
    throw c.err('namespaces and namespace_labels cannot both be set');
  return settings;
}

function parseOption(c: Controller, settings: Settings): void {
  const option = c.val();
  const args = c.remainingArgs();
  switch (option) {
    case 'endpoint_pod_names':
      if (args.length > 0) throw c.argErr();
      settings.endpointPodNames = true;
      return;
    case 'pods':
      if (args.length !== 1) throw c.argErr();
      if (args[0] !== 'disabled' && args[0] !== 'insecure' && args[0] !== 'verified') {
        throw new Error(`wrong value for pods: ${args[0]},  must be one of: disabled, verified, insecure`);
      }
      settings.podMode = args[0];
      return;
    case 'namespaces':
      if (args.length === 0) throw c.argErr();
      for (const namespace of args) settings.namespaces.add(namespace);
      return;
    case 'ttl': {
      if (args.length === 0) throw c.argErr();
      const ttl = parseInteger(args[0]!);
      if (ttl === undefined) throw new Error(`strconv.Atoi: parsing "${args[0]}": invalid syntax`);
      if (ttl < 0 || ttl > 3600) throw c.err(`ttl must be in range [0, 3600]: ${ttl}`);
      settings.ttl = ttl;
      return;
    }
    case 'fallthrough':
      settings.fallthrough = args.length === 0 ? ['.'] : c.zonesFrom(args);
      return;
    case 'noendpoints':
      if (args.length > 0) throw c.argErr();
      settings.watchEndpoints = false;
      return;
    case 'ignore':
      if (args.length > 0 && args[0] !== 'empty_service') throw new Error(`unable to parse ignore value: '${args[0]}'`);
      settings.ignoreEmptyService ||= args.length > 0;
      return;
    case 'zonal':
      if (args.length > 0) throw c.argErr();
      settings.zonal = true;
      return;
    case 'ptr_hostname_only':
      if (args.length > 0) throw c.argErr();
      settings.ptrHostnameOnly = true;
      return;
    case 'startup_timeout': {
      if (args.length === 0) throw c.argErr();
      const us = parseDuration(args[0]!);
      if (us === undefined)
        throw new Error(
          `failed to parse startup_timeout: ${args[0]}, time: invalid duration ${JSON.stringify(args[0])}`,
        );
      settings.startupTimeoutUs = us;
      return;
    }
    case 'apiserver_qps':
    case 'apiserver_burst':
    case 'apiserver_max_inflight':
      if (args.length !== 1) throw c.argErr();
      checkLimit(c, option, args[0]!);
      return;
    case 'endpoint':
    case 'tls':
    case 'kubeconfig':
      throw c.err(`property '${option}' is not supported by this server: it reads the objects it was given`);
    case 'labels':
      settings.labels = selector(c, 'label', args);
      return;
    case 'namespace_labels':
      settings.namespaceLabels = selector(c, 'namespace_label', args);
      return;
    case 'multicluster':
      throw c.err(`property '${option}' is not supported by this server yet`);
    default:
      throw c.err(`unknown property '${option}'`);
  }
}

function checkLimit(c: Controller, option: string, text: string): void {
  const isNumber = option === 'apiserver_qps' ? /^[+-]?(\d+\.?\d*|\.\d+)$/ : /^[+-]?\d+$/;
  const parser = option === 'apiserver_qps' ? 'ParseFloat' : 'Atoi';
  const quoted = JSON.stringify(text);
  if (!isNumber.test(text))
    throw c.err(`invalid ${option} ${quoted}: strconv.${parser}: parsing ${quoted}: invalid syntax`);
  if (Number(text) < 0) throw c.err(`${option} must be >= 0`);
}

function selector(c: Controller, what: string, args: readonly string[]): LabelMatcher {
  if (args.length === 0) throw c.argErr();
  const text = args.join(' ');
  try {
    return parseLabelSelector(text);
  } catch (cause) {
    throw new Error(`unable to parse ${what} selector value: '${text}': ${(cause as Error).message}`, { cause });
  }
}

/** Hides the objects whose labels do not match; one that no longer does is gone. */
function matching<T extends KubeObject>(
  labels: LabelMatcher | undefined,
  handlers: ObjectHandlers<T>,
): ObjectHandlers<T> {
  if (labels === undefined) return handlers;
  return {
    set: (object) => (labels.matches(object.metadata.labels) ? handlers.set(object) : handlers.delete(object)),
    delete: (object) => handlers.delete(object),
  };
}

function install(c: Controller, settings: Settings): void {
  const { host, config } = c;
  if (host.objects === undefined) throw new Error('no Kubernetes API to read from');
  const { objects } = host;
  const unixMs = (): number => host.clock.unixMs();
  const latency = new ProgrammingLatency(host.metrics, unixMs, (message) => c.log(NAME, 'WARNING', message));
  const index = new ObjectIndex(settings.endpointPodNames, unixMs, latency);
  const watches: Watching[] = [];
  const hasSynced = (): boolean => watches.length > 0 && watches.every((watching) => watching.hasSynced());
  const finder = new Finder(index, {
    podMode: settings.podMode,
    namespaces: settings.namespaces,
    ignoreEmptyService: settings.ignoreEmptyService,
    zonal: settings.zonal,
    ptrHostnameOnly: settings.ptrHostnameOnly,
    primaryZone: settings.zones.find((zone) => !isReverse(zone))!,
    localAddresses: ownAddresses(c),
  });
  const { zones, fallthrough, labels } = settings;
  const ttl = host.ttlS ?? settings.ttl;
  const hostSearch = searchOf(host.resolvConf);
  const options = { zones, ttl, fallthrough, finder, hasSynced, modifiedS: () => index.modifiedS, epoch: index.epoch };
  c.addHandler(NAME, (next) => {
    const kubernetes = new Kubernetes(options, next);
    return (request, writer) => kubernetes.serve(request, writer);
  });
  const soaOf = (zone: string): ResourceRecord => soa(options, zone);
  config.transferers.push((zone, serial) => {
    if (!zones.includes(zone) || isReverse(zone) || !hasSynced()) return undefined;
    return serial !== undefined && serial === index.modifiedS
      ? [[soaOf(zone)]]
      : zoneRecords(index, finder, zone, ttl, soaOf(zone));
  });
  config.links.external = new ExternalView(index, finder, ttl);
  config.links.autoPath = (request) => {
    const zone = settings.podMode === 'verified' ? matchZone(zones, request.name) : undefined;
    const address = zone === undefined ? undefined : canonicalAddress(request.origin.address);
    const [namespace] = (address === undefined ? undefined : index.podsByAddress.get(address)?.keys()) ?? [];
    if (namespace === undefined) return undefined;
    const dotZone = zone === '.' ? '.' : `.${zone}`;
    return [`${namespace}.svc${dotZone}`, `svc${dotZone}`, zone!, ...hostSearch, ''];
  };
  config.readiness.push({ name: NAME, ready: hasSynced });
  config.startups.push(() => {
    watches.push(
      objects.watch(
        NAMESPACES,
        matching(settings.namespaceLabels, {
          set: (o) => index.addNamespace(o.metadata.name!),
          delete: (o) => index.deleteNamespace(o.metadata.name!),
        }),
      ),
      objects.watch(
        SERVICES,
        matching(labels, { set: (o) => index.setService(o), delete: (o) => index.deleteService(o) }),
      ),
    );
    if (settings.watchEndpoints) {
      watches.push(
        objects.watch(
          ENDPOINTSLICES,
          matching(labels, { set: (o) => index.setSlice(o), delete: (o) => index.deleteSlice(o) }),
        ),
      );
    }
    if (settings.podMode === 'verified') {
      watches.push(
        objects.watch(PODS, matching(labels, { set: (o) => index.setPod(o), delete: (o) => index.deletePod(o) })),
      );
    }
    return waitForSync(c, hasSynced, settings.startupTimeoutUs);
  });
  config.shutdowns.push(() => {
    for (const watching of watches) watching.close();
  });
}

/**
 * What the block is bound to, else all of the server's (CoreDNS plugin/kubernetes/local.go); without loopback. Deviation: where
 * it is bound to nothing else, loopback counts.
 */
function ownAddresses({ config, host }: Controller): string[] {
  const known = (config.bound.length > 0 ? config.bound : host.localAddresses).flatMap(
    (text) => canonicalAddress(text) ?? [],
  );
  const outside = known.filter((text) => !text.startsWith('127.') && text !== '::1');
  return outside.length > 0 ? outside : known;
}

/** The server starts answering when everything has been read once, or after the limit in any case (then with SERVFAIL). */
function waitForSync(c: Controller, hasSynced: () => boolean, limitUs: number): Promise<void> {
  const { clock } = c.host;
  const startUs = clock.nowUs();
  let logUs = startUs + SYNC_LOG_US;
  return new Promise((resolve) => {
    const look = (): void => {
      if (hasSynced()) {
        resolve();
        return;
      }
      const nowUs = clock.nowUs();
      if (nowUs - startUs >= limitUs) {
        c.log(NAME, 'WARNING', 'starting server with unsynced Kubernetes API');
        resolve();
        return;
      }
      if (nowUs >= logUs) {
        c.log(NAME, 'INFO', 'waiting for Kubernetes API before starting server');
        logUs += SYNC_LOG_US;
      }
      clock.after(SYNC_POLL_US, look);
    };
    look();
  });
}
