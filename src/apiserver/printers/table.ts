// Rows of meta.k8s.io/v1 Tables: the server prints, kubectl only lays out. All columns are always sent; kubectl hides those of
// priority 1 unless told `-o wide`. After k8s.io/kubernetes/pkg/printers (tablegenerator.go, storage/storage.go).
import type { RuntimeClass } from '../../api/discovery-v1.ts';
import type { KubeObject, ResourceType } from '../../api/meta.ts';
import {
  CERTIFICATESIGNINGREQUESTS,
  CLUSTERROLEBINDINGS,
  CONFIGMAPS,
  CONTROLLERREVISIONS,
  CRONJOBS,
  DAEMONSETS,
  DEPLOYMENTS,
  ENDPOINTS,
  ENDPOINTSLICES,
  EVENTS,
  HORIZONTALPODAUTOSCALERS,
  JOBS,
  LEASES,
  NAMESPACES,
  NODES,
  PODDISRUPTIONBUDGETS,
  PODS,
  REPLICASETS,
  RESOURCEQUOTAS,
  ROLEBINDINGS,
  RUNTIMECLASSES,
  SECRETS,
  SERVICEACCOUNTS,
  SERVICES,
  STATEFULSETS,
} from '../../api/resources.ts';
import { SCALES } from '../../api/subresources.ts';
import { horizontalPodAutoscalerPrinter } from './autoscaling.ts';
import { cronJobPrinter, jobPrinter, podDisruptionBudgetPrinter } from './batch.ts';
import {
  configMapPrinter,
  eventPrinter,
  namespacePrinter,
  nodePrinter,
  secretPrinter,
  serviceAccountPrinter,
} from './core.ts';
import { age } from './duration.ts';
import { certificateSigningRequestPrinter, leasePrinter, resourceQuotaPrinter } from './limits.ts';
import { podPrinter } from './pods.ts';
import { column, NAME, type Printer } from './printer.ts';
import { bindingPrinter } from './rbac.ts';
import { scalePrinter } from './scale.ts';
import { endpointSlicePrinter, endpointsPrinter, servicePrinter } from './services.ts';
import {
  controllerRevisionPrinter,
  daemonSetPrinter,
  deploymentPrinter,
  replicaSetPrinter,
  statefulSetPrinter,
} from './workloads.ts';

export type IncludeObject = 'None' | 'Metadata' | 'Object';

/** For kinds without a printer of their own: rest.NewDefaultTableConvertor. */
const DEFAULT: Printer = {
  columns: [NAME, { name: 'Created At', type: 'date', priority: 0 }],
  cells: ({ metadata }) => [metadata.name ?? '', metadata.creationTimestamp ?? ''],
};

const runtimeClassPrinter: Printer<RuntimeClass> = {
  columns: [NAME, column('Handler'), column('Age')],
  cells: ({ metadata, handler }, nowMs) => [metadata.name ?? '', handler, age(metadata.creationTimestamp, nowMs)],
};

const PRINTERS = new Map<string, Printer>();

function register<T extends KubeObject>(type: ResourceType<T>, printer: Printer<T>): void {
  // The registry gives a printer only objects of its own type.
  PRINTERS.set(keyOf(type), printer as unknown as Printer);
}

register(PODS, podPrinter);
register(SCALES, scalePrinter);
register(SERVICES, servicePrinter);
register(ENDPOINTS, endpointsPrinter);
register(ENDPOINTSLICES, endpointSlicePrinter);
register(DEPLOYMENTS, deploymentPrinter);
register(REPLICASETS, replicaSetPrinter);
register(STATEFULSETS, statefulSetPrinter);
register(DAEMONSETS, daemonSetPrinter);
register(CONTROLLERREVISIONS, controllerRevisionPrinter);
register(JOBS, jobPrinter);
register(CRONJOBS, cronJobPrinter);
register(HORIZONTALPODAUTOSCALERS, horizontalPodAutoscalerPrinter);
register(PODDISRUPTIONBUDGETS, podDisruptionBudgetPrinter);
register(NODES, nodePrinter);
register(NAMESPACES, namespacePrinter);
register(EVENTS, eventPrinter);
register(CONFIGMAPS, configMapPrinter);
register(SECRETS, secretPrinter);
register(SERVICEACCOUNTS, serviceAccountPrinter);
register(RUNTIMECLASSES, runtimeClassPrinter);
register(RESOURCEQUOTAS, resourceQuotaPrinter);
register(LEASES, leasePrinter);
register(CERTIFICATESIGNINGREQUESTS, certificateSigningRequestPrinter);
register(ROLEBINDINGS, bindingPrinter);
register(CLUSTERROLEBINDINGS, bindingPrinter);

export function columnDefinitions(type: ResourceType): unknown[] {
  return printerOf(type).columns.map(({ name, type: columnType, format = '', priority }) => ({
    name,
    type: columnType,
    format,
    description: '',
    priority,
  }));
}

export function tableRow(type: ResourceType, object: KubeObject, nowMs: number, include: IncludeObject): unknown {
  const printer = printerOf(type);
  const conditions = printer.conditions?.(object) ?? [];
  return {
    cells: printer.cells(object, nowMs),
    ...(conditions.length > 0 ? { conditions } : {}),
    object: included(object, include),
  };
}

function included(object: KubeObject, include: IncludeObject): unknown {
  if (include === 'None') return null;
  if (include === 'Object') return object;
  return { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: object.metadata };
}

function printerOf(type: ResourceType): Printer {
  return PRINTERS.get(keyOf(type)) ?? DEFAULT;
}

function keyOf({ group, resource }: ResourceType): string {
  return `${group}/${resource}`;
}
