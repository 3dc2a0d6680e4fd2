// Rows of the kinds of apps/v1. After k8s.io/kubernetes/pkg/printers/internalversion/printers.go.
import type { ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet } from '../../api/apps-v1.ts';
import { age } from './duration.ts';
import { column, labelsText, NAME, type Printer, selectorText, wide } from './printer.ts';

interface Template {
  readonly spec?: {
    readonly containers?: readonly {
      readonly name: string;
      readonly image?: string;
    }[];
  };
}

/** What -o wide says of a Pod template. */
export const CONTAINERS = [wide('Containers'), wide('Images')];

export const deploymentPrinter: Printer<Deployment> = {
  columns: [
    NAME,
    column('Ready'),
    column('Up-to-date'),
    column('Available'),
    column('Age'),
    ...CONTAINERS,
    wide('Selector'),
  ],
  cells: ({ metadata, spec, status }, nowMs) => [
    metadata.name ?? '',
    `${status?.readyReplicas ?? 0}/${spec.replicas ?? 1}`,
    status?.updatedReplicas ?? 0,
    status?.availableReplicas ?? 0,
    age(metadata.creationTimestamp, nowMs),
    ...containers(spec.template),
    selectorText(spec.selector),
  ],
};

export const replicaSetPrinter: Printer<ReplicaSet> = {
  columns: [
    NAME,
    column('Desired', 'integer'),
    column('Current', 'integer'),
    column('Ready', 'integer'),
    column('Age'),
    ...CONTAINERS,
    wide('Selector'),
  ],
  cells: ({ metadata, spec, status }, nowMs) => [
    metadata.name ?? '',
    spec.replicas ?? 1,
    status?.replicas ?? 0,
    status?.readyReplicas ?? 0,
    age(metadata.creationTimestamp, nowMs),
    ...containers(spec.template ?? {}),
    selectorText(spec.selector),
  ],
};

export const statefulSetPrinter: Printer<StatefulSet> = {
  columns: [NAME, column('Ready'), column('Age'), ...CONTAINERS],
  cells: ({ metadata, spec, status }, nowMs) => [
    metadata.name ?? '',
    `${status?.readyReplicas ?? 0}/${spec.replicas ?? 1}`,
    age(metadata.creationTimestamp, nowMs),
    ...containers(spec.template),
  ],
};

export const daemonSetPrinter: Printer<DaemonSet> = {
  columns: [
    NAME,
    column('Desired', 'integer'),
    column('Current', 'integer'),
    column('Ready', 'integer'),
    column('Up-to-date', 'integer'),
    column('Available', 'integer'),
    column('Node Selector'),
    column('Age'),
    ...CONTAINERS,
    wide('Selector'),
  ],
  cells: ({ metadata, spec, status }, nowMs) => [
    metadata.name ?? '',
    status?.desiredNumberScheduled ?? 0,
    status?.currentNumberScheduled ?? 0,
    status?.numberReady ?? 0,
    status?.updatedNumberScheduled ?? 0,
    status?.numberAvailable ?? 0,
    labelsText(spec.template.spec.nodeSelector),
    age(metadata.creationTimestamp, nowMs),
    ...containers(spec.template),
    selectorText(spec.selector),
  ],
};

export const controllerRevisionPrinter: Printer<ControllerRevision> = {
  columns: [NAME, column('Controller'), column('Revision'), column('Age')],
  cells: ({ metadata, revision }, nowMs) => {
    const owner = metadata.ownerReferences?.find((reference) => reference.controller);
    const group = owner?.apiVersion.includes('/') ? `.${owner.apiVersion.split('/')[0]}` : '';
    return [
      metadata.name ?? '',
      owner ? `${owner.kind.toLowerCase()}${group}/${owner.name}` : '<none>',
      revision,
      age(metadata.creationTimestamp, nowMs),
    ];
  },
};

/** The cells of CONTAINERS. */
export function containers({ spec }: Template): [string, string] {
  const list = spec?.containers ?? [];
  return [list.map((c) => c.name).join(','), list.map((c) => c.image ?? '').join(',')];
}
