// What a name below a cluster zone asks for (CoreDNS plugin/kubernetes/parse.go, Kubernetes DNS specification 1.1):
//   [endpoint | _port._protocol] . service . namespace . svc
//   anything . a-b-c-d . namespace . pod
// and with the option `zonal`, for headless Services, the endpoints of one topology zone, whose name may have dots:
//   zone . pin|prefer . _zone . service . namespace . svc

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
  /** The topology zone asked for; '' is none. */
  readonly zone: string;
  /** Endpoints of other zones will do where the zone has none. */
  readonly prefer: boolean;
}

const ZONE_LABEL = '_zone';
const NOTHING_MORE = { service: '', key: '', endpoint: '', port: '', protocol: '', zone: '', prefer: false };

/**
 * `base` is the name in lower case without its zone. 'none': the name exists and has no records (the apex, `svc`, `pod`).
 * Undefined: no such name can exist.
 */
export function parseName(base: string, zonal = false): NameParts | 'none' | undefined {
  if (base === '' || base === 'svc' || base === 'pod') return 'none';
  const kind = base.endsWith('.svc') ? 'svc' : base.endsWith('.pod') ? 'pod' : undefined;
  // An escape stands for a character that no object's name can have.
  if (kind === undefined || base.includes('\\')) return undefined;
  const rest = base.slice(0, -4);
  const dot = rest.lastIndexOf('.');
  const namespace = rest.slice(dot + 1);
  if (dot < 0) return { ...NOTHING_MORE, kind, namespace };
  const start = rest.lastIndexOf('.', dot - 1);
  const service = rest.slice(start + 1, dot);
  const key = rest.slice(start + 1);
  const parts = { ...NOTHING_MORE, kind, namespace, service, key } as const;
  if (start < 0) return parts;
  const left = rest.slice(0, start).split('.');
  if (left.length === 1) return { ...parts, endpoint: left[0]! };
  if (left.length === 2) return { ...parts, port: stripUnderscore(left[0]!), protocol: stripUnderscore(left[1]!) };
  const directive = left.at(-2);
  if (!zonal || kind !== 'svc' || left.at(-1) !== ZONE_LABEL) return undefined;
  if (directive !== 'pin' && directive !== 'prefer') return undefined;
  return { ...parts, zone: left.slice(0, -2).join('.'), prefer: directive === 'prefer' };
}

export function stripUnderscore(label: string): string {
  return label.startsWith('_') ? label.slice(1) : label;
}
