// autoscaling/v1 Scale, which is no resource of its own: `kubectl get deployment web --subresource=scale`.
import type { KubeObject, ResourceType } from '../../api/meta.ts';
import { age } from './duration.ts';
import { column, NAME, type Printer } from './printer.ts';

interface Scale extends KubeObject {
  readonly spec: { readonly replicas: number };
  readonly status: { readonly replicas: number };
}

export const SCALES: ResourceType<Scale> = {
  group: 'autoscaling',
  version: 'v1',
  resource: 'scales',
  singular: 'scale',
  kind: 'Scale',
  namespaced: true,
  shortNames: [],
  categories: [],
};

export const scalePrinter: Printer<Scale> = {
  columns: [NAME, column('Desired', 'integer'), column('Available', 'integer'), column('Age')],
  cells: ({ metadata, spec, status }, nowMs) => [
    metadata.name ?? '',
    spec.replicas,
    status.replicas,
    age(metadata.creationTimestamp, nowMs),
  ],
};
