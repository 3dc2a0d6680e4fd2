// Kinds that subresources take and give, described as resources are. None of them is listed, watched or stored.
import type { TokenRequest } from './authentication-v1.ts';
import type { KubeObject, ResourceType } from './meta.ts';

export interface Scale extends KubeObject {
  spec?: { replicas?: number };
  status?: { replicas: number; selector?: string };
}

export interface Binding extends KubeObject {
  target?: { name?: string };
}

export interface Eviction extends KubeObject {
  deleteOptions?: object;
}

function define<T extends KubeObject>(group: string, kind: string): ResourceType<T> {
  const singular = kind.toLowerCase();
  const names = { resource: `${singular}s`, singular, shortNames: [], categories: [] };
  return { group, version: 'v1', kind, namespaced: true, ...names };
}

export const SCALES = define<Scale>('autoscaling', 'Scale');
export const BINDINGS = define<Binding>('', 'Binding');
export const EVICTIONS = define<Eviction>('policy', 'Eviction');
export const TOKEN_REQUESTS = define<TokenRequest>('authentication.k8s.io', 'TokenRequest');
