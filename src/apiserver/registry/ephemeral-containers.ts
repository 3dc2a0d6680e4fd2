// pods/ephemeralcontainers: containers that are added to a Pod that runs, for debugging; once there they stay. After
// kubernetes/pkg/registry/core/pod/strategy.go (podEphemeralContainersStrategy) and validateEphemeralContainers in
// pkg/apis/core/validation/validation.go.
import type { Container, Pod } from '../../api/core-v1.ts';
import { at, FieldErrors } from '../../api/field-errors.ts';
import type { Stored } from '../../api/meta.ts';
import { PODS } from '../../api/resources.ts';
import { invalid } from '../../api/status-error.ts';
import { validateContainer } from '../../api/validation/container.ts';
import { clone, equal } from '../../lib/tree.ts';

const PATH = 'spec.ephemeralContainers';
const FORBIDDEN = ['ports', 'livenessProbe', 'readinessProbe', 'startupProbe', 'lifecycle'] as const;

/** `old` with the ephemeral containers of `input`. Throws StatusError 422. */
export function withEphemeralContainers(input: Pod, old: Stored<Pod>): Pod {
  const errors = new FieldErrors();
  const before = old.spec.ephemeralContainers ?? [];
  const after = input.spec.ephemeralContainers ?? [];
  const names = new Set([...old.spec.containers, ...(old.spec.initContainers ?? [])].map((c) => c.name));
  for (const [i, container] of after.entries()) check(container, at(PATH, i), old, names, errors);
  for (const kept of before) {
    const now = after.find((container) => container.name === kept.name);
    if (!now) errors.forbidden(PATH, `existing ephemeral containers ${JSON.stringify(kept.name)} may not be removed`);
    else if (!equal(now, kept)) {
      errors.forbidden(PATH, `existing ephemeral containers ${JSON.stringify(kept.name)} may not be changed`);
    }
  }
  if (!errors.empty) throw invalid(PODS, old.metadata.name, errors.causes);
  const pod = clone(old) as Pod;
  pod.spec.ephemeralContainers = after;
  if (!equal(before, after)) pod.metadata.generation = (old.metadata.generation ?? 0) + 1;
  return pod;
}

function check(container: Container, path: string, { spec }: Pod, names: Set<string>, errors: FieldErrors): void {
  const volumes = new Set((spec.volumes ?? []).map((volume) => volume.name));
  validateContainer(container, { role: 'container', path, volumes, names, hostPorts: new Set(), errors });
  for (const field of FORBIDDEN) {
    if (container[field] !== undefined) {
      errors.forbidden(`${path}.${field}`, 'cannot be set for an Ephemeral Container');
    }
  }
}
