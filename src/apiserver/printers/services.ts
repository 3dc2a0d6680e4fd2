// Rows of Services, Endpoints and EndpointSlices. After k8s.io/kubernetes/pkg/printers/internalversion/printers.go.
import type { Endpoints, Service } from '../../api/core-v1.ts';
import type { EndpointSlice } from '../../api/discovery-v1.ts';
import { age } from './duration.ts';
import { column, firstThree, labelsText, NAME, type Printer, wide } from './printer.ts';

export const servicePrinter: Printer<Service> = {
  columns: [
    NAME,
    column('Type'),
    column('Cluster-IP'),
    column('External-IP'),
    column('Port(s)'),
    column('Age'),
    wide('Selector'),
  ],
  cells: (service, nowMs) => {
    const { type = 'ClusterIP', clusterIP, clusterIPs, ports = [], selector } = service.spec;
    const portText = ports.map(
      ({ port, nodePort, protocol = 'TCP' }) => `${port}${nodePort ? `:${nodePort}` : ''}/${protocol}`,
    );
    return [
      service.metadata.name ?? '',
      type,
      clusterIPs?.[0] || clusterIP || '<none>',
      externalIP(service),
      portText.join(',') || '<none>',
      age(service.metadata.creationTimestamp, nowMs),
      labelsText(selector),
    ];
  },
};

function externalIP({ spec, status }: Service): string {
  const external = spec.externalIPs ?? [];
  switch (spec.type) {
    case undefined:
    case 'ClusterIP':
    case 'NodePort':
      return external.join(',') || '<none>';
    case 'LoadBalancer': {
      const ingress = (status?.loadBalancer?.ingress ?? []) as { ip?: string; hostname?: string }[];
      const addresses = new Set(ingress.map(({ ip, hostname }) => ip || hostname || '').filter((a) => a !== ''));
      return [...[...addresses].sort(), ...external].join(',') || '<pending>';
    }
    case 'ExternalName':
      return spec.externalName ?? '';
    default:
      return '<unknown>';
  }
}

export const endpointsPrinter: Printer<Endpoints> = {
  columns: [NAME, column('Endpoints'), column('Age')],
  cells: ({ metadata, subsets = [] }, nowMs) => {
    const texts: string[] = [];
    for (const { addresses = [], ports = [] } of subsets) {
      if (ports.length === 0) texts.push(...addresses.map(({ ip }) => ip));
      for (const { port } of ports)
        texts.push(...addresses.map(({ ip }) => `${ip.includes(':') ? `[${ip}]` : ip}:${port}`));
    }
    return [
      metadata.name ?? '',
      subsets.length === 0 ? '<none>' : firstThree(texts),
      age(metadata.creationTimestamp, nowMs),
    ];
  },
};

export const endpointSlicePrinter: Printer<EndpointSlice> = {
  columns: [NAME, column('AddressType'), column('Ports'), column('Endpoints'), column('Age')],
  cells: ({ metadata, addressType, ports, endpoints }, nowMs) => {
    const portTexts = (ports ?? []).map(({ port, name }) => (port ? String(port) : name || '*'));
    const addresses = (endpoints ?? []).flatMap((endpoint) => endpoint.addresses);
    return [
      metadata.name ?? '',
      addressType,
      firstThree(portTexts) || '<unset>',
      firstThree(addresses) || '<unset>',
      age(metadata.creationTimestamp, nowMs),
    ];
  },
};
