// Rows of ResourceQuotas, Leases and CertificateSigningRequests. After k8s.io/kubernetes/pkg/printers/internalversion/printers.go.
import { type CertificateSigningRequest, hasCondition } from '../../api/certificates-v1.ts';
import type { Lease } from '../../api/coordination-v1.ts';
import type { ResourceQuota } from '../../api/core-v1.ts';
import { age, humanDuration } from './duration.ts';
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

export const certificateSigningRequestPrinter: Printer<CertificateSigningRequest> = {
  columns: [
    NAME,
    column('Age'),
    column('SignerName'),
    column('Requestor'),
    column('RequestedDuration'),
    column('Condition'),
  ],
  cells: (request, nowMs) => {
    const { metadata, spec, status } = request;
    const seconds = spec.expirationSeconds;
    const decided = ['Denied', 'Approved'].find((type) => hasCondition(request, type)) ?? 'Pending';
    const failed = hasCondition(request, 'Failed') ? ',Failed' : '';
    return [
      metadata.name ?? '',
      age(metadata.creationTimestamp, nowMs),
      spec.signerName || '<none>',
      spec.username ?? '',
      seconds === undefined ? '<none>' : humanDuration(seconds * 1000),
      `${decided}${failed}${status?.certificate ? ',Issued' : ''}`,
    ];
  },
};
