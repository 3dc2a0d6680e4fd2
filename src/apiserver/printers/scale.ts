// autoscaling/v1 Scale, which is no resource of its own: `kubectl get deployment web --subresource=scale`.
import type { Scale } from '../../api/subresources.ts';
import { age } from './duration.ts';
import { column, NAME, type Printer } from './printer.ts';

export const scalePrinter: Printer<Scale> = {
  columns: [NAME, column('Desired', 'integer'), column('Available', 'integer'), column('Age')],
  cells: ({ metadata, spec, status }, nowMs) => [
    metadata.name ?? '',
    spec?.replicas ?? 0,
    status?.replicas ?? 0,
    age(metadata.creationTimestamp, nowMs),
  ],
};
