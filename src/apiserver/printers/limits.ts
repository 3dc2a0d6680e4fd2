// Rows of ResourceQuotas and Leases. After k8s.io/kubernetes/pkg/printers/internalversion/printers.go.
import type { Lease } from '../../api/coordination-v1.ts';
import type { ResourceQuota } from '../../api/core-v1.ts';
import { age } from './duration.ts';
import { column, NAME, type Printer } from './printer.ts';

export const resourceQuotaPrinter: Printer<ResourceQuota> = {
  columns: [NAME, column('Request'), column('Limit'), column('Age')],
  cells: ({ metadata, status }, nowMs) => {
    const names = Object.keys(status?.hard ?? {}).sort();
    const cells = (chosen: readonly string[]): string =>
      chosen.map((name) => `${name}: ${status?.used?.[name] ?? '0'}/${status?.hard?.[name]}`).join(', ');
    const isLimit = (name: string): boolean => name.startsWith('limits.');
    return [
      metadata.name ?? '',
      cells(names.filter((name) => !isLimit(name))),
      cells(names.filter(isLimit)),
      age(metadata.creationTimestamp, nowMs),
    ];
  },
};

export const leasePrinter: Printer<Lease> = {
  columns: [NAME, column('Holder'), column('Age')],
  cells: ({ metadata, spec }, nowMs) => [
    metadata.name ?? '',
    spec?.holderIdentity ?? '',
    age(metadata.creationTimestamp, nowMs),
  ],
};
