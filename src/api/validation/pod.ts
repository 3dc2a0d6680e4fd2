// Rules for Pods and Pod templates, with the real server's words. After kubernetes/pkg/apis/core/validation/validation.go, for
// what users meet; left out: affinity, topology spread, security contexts, most volume kinds.

import type { Pod, PodSpec, Volume } from '../core-v1.ts';
import { at, type FieldErrors } from '../field-errors.ts';
import { dns1123LabelErrors, dns1123SubdomainErrors } from '../names.ts';
import { VOLUME_SOURCES } from '../schema/volume.ts';
import { type ContainerRole, validateContainer } from './container.ts';
import { ipErrors } from './ip.ts';
import { validateLabels } from './meta.ts';

const RESTART_POLICIES = ['Always', 'OnFailure', 'Never'];
const DNS_POLICIES = ['ClusterFirstWithHostNet', 'ClusterFirst', 'Default', 'None'];
const MAX_NAMESERVERS = 3;
const MAX_SEARCHES = 32;
const MAX_SEARCH_CHARACTERS = 2048;

export function validatePod(pod: Pod, errors: FieldErrors): void {
  validatePodSpec(pod.spec, 'spec', errors);
}

export function validatePodSpec(spec: PodSpec, path: string, errors: FieldErrors): void {
  const volumes = validateVolumes(spec.volumes ?? [], `${path}.volumes`, errors);
  if (spec.containers.length === 0) errors.required(`${path}.containers`);
  const names = new Set<string>();
  const hostPorts = new Set<string>();
  const each = (role: ContainerRole, list: PodSpec['containers'], listPath: string): void => {
    for (const [i, container] of list.entries()) {
      validateContainer(container, { role, path: at(listPath, i), volumes, names, hostPorts, errors });
    }
  };
  each('container', spec.containers, `${path}.containers`);
  each('init', spec.initContainers ?? [], `${path}.initContainers`);
  if (!spec.restartPolicy) errors.required(`${path}.restartPolicy`);
  else if (!RESTART_POLICIES.includes(spec.restartPolicy)) {
    errors.notSupported(`${path}.restartPolicy`, spec.restartPolicy, RESTART_POLICIES);
  }
  validateDns(spec, path, errors);
  validateLabels(spec.nodeSelector, `${path}.nodeSelector`, errors);
  validatePlacement(spec, path, errors);
  const grace = spec.terminationGracePeriodSeconds;
  if (grace !== undefined && grace < 0) {
    errors.invalid(`${path}.terminationGracePeriodSeconds`, grace, 'must be greater than or equal to 0');
  }
  const deadline = spec.activeDeadlineSeconds;
  if (deadline !== undefined && (deadline < 1 || deadline > 0x7fff_ffff)) {
    errors.invalid(`${path}.activeDeadlineSeconds`, deadline, 'must be between 1 and 2147483647, inclusive');
  }
}

function validatePlacement(spec: PodSpec, path: string, errors: FieldErrors): void {
  const subdomain = ['serviceAccountName', 'nodeName', 'runtimeClassName', 'priorityClassName'] as const;
  for (const field of subdomain) {
    if (spec[field]) errors.invalidAll(`${path}.${field}`, spec[field], dns1123SubdomainErrors(spec[field]));
  }
  for (const field of ['hostname', 'subdomain'] as const) {
    if (spec[field]) errors.invalidAll(`${path}.${field}`, spec[field], dns1123LabelErrors(spec[field]));
  }
  for (const [i, { ip, hostnames = [] }] of (spec.hostAliases ?? []).entries()) {
    const p = at(`${path}.hostAliases`, i);
    errors.invalidAll(`${p}.ip`, ip, ipErrors(ip));
    for (const [h, name] of hostnames.entries())
      errors.invalidAll(at(`${p}.hostnames`, h), name, dns1123SubdomainErrors(name));
  }
}

function validateDns(spec: PodSpec, path: string, errors: FieldErrors): void {
  const { dnsPolicy, dnsConfig } = spec;
  if (!dnsPolicy) errors.required(`${path}.dnsPolicy`);
  else if (!DNS_POLICIES.includes(dnsPolicy)) errors.notSupported(`${path}.dnsPolicy`, dnsPolicy, DNS_POLICIES);
  const p = `${path}.dnsConfig`;
  if (dnsPolicy === 'None') {
    if (!dnsConfig) errors.required(p, 'must provide `dnsConfig` when `dnsPolicy` is None');
    else if (!dnsConfig.nameservers?.length) {
      errors.required(`${p}.nameservers`, 'must provide at least one DNS nameserver when `dnsPolicy` is None');
    }
  }
  if (!dnsConfig) return;
  const { nameservers = [], searches = [], options = [] } = dnsConfig;
  if (nameservers.length > MAX_NAMESERVERS) {
    errors.invalid(`${p}.nameservers`, nameservers, `must not have more than ${MAX_NAMESERVERS} nameservers`);
  }
  for (const [i, ns] of nameservers.entries()) errors.invalidAll(at(`${p}.nameservers`, i), ns, ipErrors(ns));
  if (searches.length > MAX_SEARCHES) {
    errors.invalid(`${p}.searches`, searches, `must not have more than ${MAX_SEARCHES} search paths`);
  }
  if (searches.join(' ').length > MAX_SEARCH_CHARACTERS) {
    errors.invalid(
      `${p}.searches`,
      searches,
      `must not have more than ${MAX_SEARCH_CHARACTERS} characters (including spaces) in the search list`,
    );
  }
  for (const [i, search] of searches.entries()) {
    if (search === '.') continue;
    const labels = search.replace(/\.$/, '').replaceAll('_', 'x');
    errors.invalidAll(at(`${p}.searches`, i), search, dns1123SubdomainErrors(labels));
  }
  for (const [i, { name }] of options.entries()) {
    if (!name) errors.required(at(`${p}.options`, i), 'must not be empty');
  }
}

/** The names of the volumes. */
function validateVolumes(volumes: readonly Volume[], path: string, errors: FieldErrors): Set<string> {
  const names = new Set<string>();
  for (const [i, volume] of volumes.entries()) {
    const p = at(path, i);
    if (!volume.name) errors.required(`${p}.name`);
    else {
      errors.invalidAll(`${p}.name`, volume.name, dns1123LabelErrors(volume.name));
      if (names.has(volume.name)) errors.duplicate(`${p}.name`, volume.name);
      names.add(volume.name);
    }
    const sources = Object.keys(volume).filter((key) => Object.hasOwn(VOLUME_SOURCES, key));
    for (const extra of sources.slice(1)) errors.forbidden(`${p}.${extra}`, 'may not specify more than 1 volume type');
    if (sources.length === 0) errors.required(p, 'must specify a volume type');
    if (volume.configMap && !volume.configMap.name) errors.required(`${p}.configMap.name`);
    if (volume.secret && !volume.secret.secretName) errors.required(`${p}.secret.secretName`);
    if (volume.hostPath && !volume.hostPath.path) errors.required(`${p}.hostPath.path`);
  }
  return names;
}
