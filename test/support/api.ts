// An API server on a virtual clock with a `default` Namespace, and the shortest objects it accepts.
import type { Test } from 'tap';
import type { Deployment } from '../../src/api/apps-v1.ts';
import type { Namespace, Pod, Service, ServiceAccount } from '../../src/api/core-v1.ts';
import { NAMESPACES, SERVICEACCOUNTS } from '../../src/api/resources.ts';
import { StatusError } from '../../src/api/status-error.ts';
import { ApiServer, type ApiServerOptions } from '../../src/apiserver/apiserver.ts';
import type { LocalClient } from '../../src/apiserver/local-client.ts';
import { VirtualClock } from '../../src/lib/clock.ts';
import { SeededRng } from '../../src/lib/rng.ts';

export interface ApiWorld {
  readonly clock: VirtualClock;
  readonly server: ApiServer;
  readonly client: LocalClient;
}

export async function apiWorld(t: Test, options: Partial<ApiServerOptions> = {}): Promise<ApiWorld> {
  const clock = new VirtualClock();
  const server = new ApiServer({ clock, rng: new SeededRng(7), ...options });
  t.teardown(() => server.close());
  const client = server.client();
  await client.create(NAMESPACES, namespace('default'));
  await client.create(SERVICEACCOUNTS, serviceAccount('default'));
  return { clock, server, client };
}

export function namespace(name: string): Namespace {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
}

export function serviceAccount(name: string, space = 'default'): ServiceAccount {
  return { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace: space } };
}

export function pod(name: string, spec: Partial<Pod['spec']> = {}, labels: Record<string, string> = {}): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default', labels },
    spec: { containers: [{ name: 'c', image: 'nginx' }], ...spec },
  };
}

export function service(name: string, spec: Partial<Service['spec']> = {}): Service {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'default' },
    spec: { selector: { app: name }, ports: [{ port: 80 }], ...spec },
  };
}

export function deployment(name: string, spec: Partial<Deployment['spec']> = {}): Deployment {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace: 'default' },
    spec: {
      selector: { matchLabels: { app: name } },
      template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'c', image: 'nginx' }] } },
      ...spec,
    },
  };
}

/** Awaits a StatusError and checks its code and message; returns it. */
export async function refused(t: Test, promise: Promise<unknown>, code: number, message: string): Promise<StatusError> {
  try {
    await promise;
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
    t.same({ code: error.code, message: error.message }, { code, message });
    return error;
  }
  t.fail(`expected to be refused: ${message}`);
  return new StatusError('InternalError', 500, '');
}
