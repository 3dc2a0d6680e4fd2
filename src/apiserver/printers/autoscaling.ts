// The row of a HorizontalPodAutoscaler. After printHorizontalPodAutoscaler and formatHPAMetrics in
// k8s.io/kubernetes/pkg/printers/internalversion/printers.go; current values are always unknown, as nothing is measured here.
import type { HorizontalPodAutoscaler, MetricSpec } from '../../api/autoscaling-v2.ts';
import { age } from './duration.ts';
import { column, NAME, type Printer } from './printer.ts';

const MAX_METRICS = 2;

export const horizontalPodAutoscalerPrinter: Printer<HorizontalPodAutoscaler> = {
  columns: [
    NAME,
    column('Reference'),
    column('Targets'),
    column('MinPods'),
    column('MaxPods'),
    column('Replicas'),
    column('Age'),
  ],
  cells: ({ metadata, spec, status }, nowMs) => [
    metadata.name ?? '',
    `${spec.scaleTargetRef.kind}/${spec.scaleTargetRef.name}`,
    targets(spec.metrics ?? []),
    String(spec.minReplicas ?? '<unset>'),
    spec.maxReplicas,
    status?.currentReplicas ?? 0,
    age(metadata.creationTimestamp, nowMs),
  ],
};

function targets(metrics: readonly MetricSpec[]): string {
  if (metrics.length === 0) return '<none>';
  const texts = metrics.map(({ type, resource }) => {
    if (!resource) return '<unknown type>';
    const { averageValue, averageUtilization } = resource.target;
    const wanted = averageValue ?? (averageUtilization === undefined ? '<auto>' : `${averageUtilization}%`);
    return type === 'Resource' ? `${resource.name}: <unknown>/${wanted}` : '<unknown type>';
  });
  const more = texts.length > MAX_METRICS ? ` + ${texts.length - MAX_METRICS} more...` : '';
  return texts.slice(0, MAX_METRICS).join(', ') + more;
}
