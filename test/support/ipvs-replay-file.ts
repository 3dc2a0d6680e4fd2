// Files of the IPVS oracle (reference/ipvs/README.md): what a scenario holds, and reading them with a message that says what is
// wrong with one.
import { readFileSync } from 'node:fs';

export interface DestSpec {
  readonly ip: string;
  readonly port: number;
  readonly weight?: number;
  readonly u_threshold?: number;
  readonly l_threshold?: number;
}

export interface ServiceSpec {
  readonly scheduler: string;
  readonly flags?: readonly string[] | string;
  readonly protocol: 'tcp' | 'udp';
  readonly vip: string;
  readonly port: number;
  readonly persistence?: number;
  readonly netmask?: string;
  readonly dests?: readonly DestSpec[];
}

export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };
export type Result = { readonly [key: string]: Json };

export interface Scenario extends Partial<ServiceSpec> {
  readonly id: string;
  readonly config?: string;
  readonly services?: readonly Partial<ServiceSpec>[];
  readonly sysctl?: Readonly<Record<string, number>>;
  readonly timeouts?: readonly [number, number, number];
  readonly nat?: boolean;
  readonly masquerade_all?: boolean;
  readonly node_ip?: string;
  readonly settle_ms?: number;
  readonly gap_ms?: number;
  readonly events: readonly { readonly [kind: string]: unknown }[];
  readonly results: readonly Result[];
}

/** What a file holds, and what of it cannot be played. */
export interface ScenarioFile {
  readonly scenarios: readonly Scenario[];
  readonly faults: readonly string[];
}

/** A scenario, a list of them, or an object with such a list. */
export function readScenarios(path: string): ScenarioFile {
  let data: unknown;
  try {
    data = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    return {
      scenarios: [],
      faults: [`${path}: ${error instanceof Error ? error.message : String(error)}`],
    };
  }
  const list = Array.isArray(data) ? data : isObject(data) && 'scenarios' in data ? data['scenarios'] : [data];
  if (!Array.isArray(list)) return { scenarios: [], faults: [`${path}: "scenarios" is not a list`] };
  const scenarios: Scenario[] = [];
  const faults: string[] = [];
  for (const [i, scenario] of (list as unknown[]).entries()) {
    const fault = faultOf(scenario);
    const id = isObject(scenario) && typeof scenario['id'] === 'string' ? scenario['id'] : `${path}[${i}]`;
    if (fault) faults.push(`${path}: scenario ${id}: ${fault}`);
    else scenarios.push({ ...(scenario as Scenario), id });
  }
  return { scenarios, faults };
}

/** Why it cannot be played. */
function faultOf(scenario: unknown): string | undefined {
  if (!isObject(scenario)) return 'not an object';
  const { events, results, services } = scenario;
  if (!Array.isArray(events) || !events.every(isObject)) return 'no "events", a list of objects';
  if (typeof scenario['error'] === 'string' && !Array.isArray(results)) {
    return `the oracle could not play it: ${scenario['error'].trim().split('\n').pop()!.trim()}`;
  }
  if (!Array.isArray(results) || results.length !== events.length) {
    const count = Array.isArray(results) ? results.length : 'no';
    return `${events.length} events, but ${count} "results" to compare with; play it with the oracle first`;
  }
  if (services !== undefined && !(Array.isArray(services) && services.every(isObject)))
    return '"services" is not a list';
  for (const service of (services as Record<string, unknown>[] | undefined) ?? [scenario]) {
    for (const key of ['scheduler', 'vip', 'port']) if (!(key in service)) return `a service has no "${key}"`;
  }
  return undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
