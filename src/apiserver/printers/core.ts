// Rows of Nodes, Namespaces, Events, ConfigMaps, Secrets and ServiceAccounts. After
// k8s.io/kubernetes/pkg/printers/internalversion/printers.go.
import type { ConfigMap, Event, Namespace, Node, Secret, ServiceAccount } from '../../api/core-v1.ts';
import { age } from './duration.ts';
import { column, NAME, type Printer, wide } from './printer.ts';

const ROLE_PREFIX = 'node-role.kubernetes.io/';

export const nodePrinter: Printer<Node> = {
  columns: [
    NAME,
    column('Status'),
    column('Roles'),
    column('Age'),
    column('Version'),
    wide('Internal-IP'),
    wide('External-IP'),
    wide('OS-Image'),
    wide('Kernel-Version'),
    wide('Container-Runtime'),
  ],
  cells: ({ metadata, spec, status }, nowMs) => {
    const ready = status?.conditions?.find((c) => c.type === 'Ready');
    const state = ready ? (ready.status === 'True' ? 'Ready' : 'NotReady') : 'Unknown';
    const address = (type: string): string =>
      status?.addresses?.find((candidate) => candidate.type === type)?.address ?? '<none>';
    const info = (status?.nodeInfo ?? {}) as Readonly<Record<string, string | undefined>>;
    return [
      metadata.name ?? '',
      `${state}${spec?.unschedulable ? ',SchedulingDisabled' : ''}`,
      roles(metadata.labels),
      age(metadata.creationTimestamp, nowMs),
      info['kubeletVersion'] ?? '',
      address('InternalIP'),
      address('ExternalIP'),
      info['osImage'] || '<unknown>',
      info['kernelVersion'] || '<unknown>',
      info['containerRuntimeVersion'] || '<unknown>',
    ];
  },
};

function roles(labels: Readonly<Record<string, string>> = {}): string {
  const found = new Set<string>();
  for (const [key, value] of Object.entries(labels)) {
    if (key.startsWith(ROLE_PREFIX) && key.length > ROLE_PREFIX.length) found.add(key.slice(ROLE_PREFIX.length));
    else if (key === 'kubernetes.io/role' && value !== '') found.add(value);
  }
  return [...found].sort().join(',') || '<none>';
}

export const namespacePrinter: Printer<Namespace> = {
  columns: [NAME, column('Status'), column('Age')],
  cells: ({ metadata, status }, nowMs) => [
    metadata.name ?? '',
    status?.phase ?? '',
    age(metadata.creationTimestamp, nowMs),
  ],
};

/** Fields of events that no controller here sets, but clients may. */
interface EventExtras {
  eventTime?: string | null;
  series?: { count?: number; lastObservedTime?: string };
  reportingComponent?: string;
  reportingInstance?: string;
  involvedObject: { fieldPath?: string };
}

export const eventPrinter: Printer<Event> = {
  columns: [
    column('Last Seen'),
    column('Type'),
    column('Reason'),
    column('Object'),
    wide('Subobject'),
    wide('Source'),
    column('Message'),
    wide('First Seen'),
    wide('Count'),
    { ...NAME, priority: 1 },
  ],
  cells: (event, nowMs) => {
    const { series, eventTime, reportingComponent, reportingInstance, involvedObject } = event as Event & EventExtras;
    const { kind = '', name } = event.involvedObject;
    const firstSeen = age(event.firstTimestamp ?? eventTime, nowMs);
    const lastSeen = series
      ? age(series.lastObservedTime, nowMs)
      : event.lastTimestamp
        ? age(event.lastTimestamp, nowMs)
        : firstSeen;
    const source = event.source?.component || reportingComponent || '';
    const host = event.source?.host || reportingInstance;
    return [
      lastSeen,
      event.type ?? '',
      event.reason ?? '',
      kind.toLowerCase() + (name ? `/${name}` : ''),
      involvedObject.fieldPath ?? '',
      host ? `${source}, ${host}` : source,
      (event.message ?? '').trim(),
      firstSeen,
      (series ? series.count : event.count) || 1,
      event.metadata.name ?? '',
    ];
  },
};

export const configMapPrinter: Printer<ConfigMap> = {
  columns: [NAME, column('Data'), column('Age')],
  cells: (configMap, nowMs) => {
    const { data, binaryData } = configMap as { data?: object; binaryData?: object };
    return [
      configMap.metadata.name ?? '',
      Object.keys(data ?? {}).length + Object.keys(binaryData ?? {}).length,
      age(configMap.metadata.creationTimestamp, nowMs),
    ];
  },
};

export const secretPrinter: Printer<Secret> = {
  columns: [NAME, column('Type'), column('Data'), column('Age')],
  cells: ({ metadata, type, data }, nowMs) => [
    metadata.name ?? '',
    type ?? '',
    Object.keys(data ?? {}).length,
    age(metadata.creationTimestamp, nowMs),
  ],
};

export const serviceAccountPrinter: Printer<ServiceAccount> = {
  columns: [NAME, column('Secrets'), column('Age')],
  cells: (account, nowMs) => [
    account.metadata.name ?? '',
    (account as { secrets?: unknown[] }).secrets?.length ?? 0,
    age(account.metadata.creationTimestamp, nowMs),
  ],
};
