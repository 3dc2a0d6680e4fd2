// What a name below a cluster zone asks for (CoreDNS plugin/kubernetes/parse.go, Kubernetes DNS specification 1.1):
//   [endpoint | _port._protocol] . service . namespace . svc
//   anything . a-b-c-d . namespace . pod

export interface NameParts {
  readonly kind: 'svc' | 'pod';
  /** '' when the name ends before it; likewise for the others. */
  readonly namespace: string;
  readonly service: string;
  /** `service.namespace`. */
  readonly key: string;
  readonly endpoint: string;
  readonly port: string;
  readonly protocol: string;
}

/**
 * `base` is the name in lower case without its zone. 'none': the name exists and has no records (the apex, `svc`, `pod`).
 * Undefined: no such name can exist.
 */
export function parseName(base: string): NameParts | 'none' | undefined {
  if (base === '' || base === 'svc' || base === 'pod') return 'none';
  const kind = base.endsWith('.svc') ? 'svc' : base.endsWith('.pod') ? 'pod' : undefined;
  // An escape stands for a character that no object's name can have.
  if (kind === undefined || base.includes('\\')) return undefined;
  const rest = base.slice(0, -4);
  const dot = rest.lastIndexOf('.');
  const namespace = rest.slice(dot + 1);
  if (dot < 0) return { kind, namespace, service: '', key: '', endpoint: '', port: '', protocol: '' };
  const start = rest.lastIndexOf('.', dot - 1);
  const service = rest.slice(start + 1, dot);
  const key = rest.slice(start + 1);
  if (start < 0) return { kind, namespace, service, key, endpoint: '', port: '', protocol: '' };
  const left = rest.slice(0, start).split('.');
  if (left.length === 1) return { kind, namespace, service, key, endpoint: left[0]!, port: '', protocol: '' };
  if (left.length > 2) return undefined;
  return {
    kind,
    namespace,
    service,
    key,
    endpoint: '',
    port: stripUnderscore(left[0]!),
    protocol: stripUnderscore(left[1]!),
  };
}

export function stripUnderscore(label: string): string {
  return label.startsWith('_') ? label.slice(1) : label;
}
