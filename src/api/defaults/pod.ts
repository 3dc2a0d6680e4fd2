// Defaults of Pods and Pod templates. After kubernetes/pkg/apis/core/v1/defaults.go. Drafts are written to.
import type { Container, Pod, PodSpec, Probe, Volume } from '../core-v1.ts';

export function defaultPod(pod: Pod): void {
  pod.spec ??= { containers: [] };
  pod.spec.enableServiceLinks ??= true;
  defaultPodSpec(pod.spec);
  for (const container of [...(pod.spec.initContainers ?? []), ...(pod.spec.containers ?? [])]) {
    const { limits, requests } = container.resources!;
    if (limits) container.resources!.requests = { ...limits, ...requests };
  }
}

export function defaultPodSpec(spec: PodSpec): void {
  spec.containers ??= [];
  for (const volume of spec.volumes ?? []) defaultVolume(volume);
  for (const container of spec.initContainers ?? []) defaultContainer(container, spec);
  for (const container of spec.containers) defaultContainer(container, spec);
  for (const container of spec.ephemeralContainers ?? []) defaultContainer(container, spec);
  spec.restartPolicy ??= 'Always';
  spec.terminationGracePeriodSeconds ??= 30;
  spec.dnsPolicy ??= 'ClusterFirst';
  // The old name of the field follows the new one.
  const account = spec.serviceAccountName || spec.serviceAccount;
  if (account) {
    spec.serviceAccountName = account;
    spec.serviceAccount = account;
  }
  spec.securityContext ??= {};
  spec.schedulerName ??= 'default-scheduler';
}

function defaultContainer(container: Container, spec: PodSpec): void {
  for (const port of container.ports ?? []) {
    port.protocol ??= 'TCP';
    if (spec.hostNetwork && port.hostPort === undefined) port.hostPort = port.containerPort;
  }
  for (const { valueFrom } of container.env ?? []) {
    if (valueFrom?.fieldRef) Object.assign(valueFrom.fieldRef, { apiVersion: 'v1', ...valueFrom.fieldRef });
  }
  container.resources ??= {};
  for (const probe of [container.livenessProbe, container.readinessProbe, container.startupProbe]) {
    if (probe) defaultProbe(probe);
  }
  container.terminationMessagePath ??= '/dev/termination-log';
  container.terminationMessagePolicy ??= 'File';
  container.imagePullPolicy ??= pullPolicy(container.image ?? '');
}

function defaultProbe(probe: Probe): void {
  if (probe.httpGet) {
    probe.httpGet.path ??= '/';
    probe.httpGet.scheme ??= 'HTTP';
  }
  probe.timeoutSeconds ||= 1;
  probe.periodSeconds ||= 10;
  probe.successThreshold ||= 1;
  probe.failureThreshold ||= 3;
}

function defaultVolume(volume: Volume): void {
  if (Object.keys(volume).every((key) => key === 'name')) volume.emptyDir = {};
  if (volume.configMap) volume.configMap.defaultMode ??= 0o644;
  if (volume.secret) volume.secret.defaultMode ??= 0o644;
  if (volume.projected) volume.projected.defaultMode ??= 0o644;
  if (volume.hostPath) volume.hostPath.type ??= '';
}

/** Always for the tag `latest` (also when it is only meant), else IfNotPresent. */
function pullPolicy(image: string): 'Always' | 'IfNotPresent' {
  if (image.includes('@')) return 'IfNotPresent';
  const tag = /:([^/:]+)$/.exec(image)?.[1] ?? 'latest';
  return tag === 'latest' ? 'Always' : 'IfNotPresent';
}
