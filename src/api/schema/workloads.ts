// The schema of the workloads beyond Deployments: k8s.io/api apps/v1, batch/v1, policy/v1 and autoscaling/v2.
import { CONDITIONS, conditions, LABEL_SELECTOR, OBJECT_META, OBJECT_REFERENCE, object } from './meta.ts';
import { POD_TEMPLATE } from './pod.ts';
import {
  any,
  bool,
  int32,
  int64,
  intOrString,
  list,
  map,
  quantity,
  type Struct,
  string,
  struct,
  time,
} from './schema.ts';

const STATEFULSET = object('StatefulSet', {
  spec: struct('StatefulSetSpec', {
    replicas: int32,
    selector: LABEL_SELECTOR,
    template: POD_TEMPLATE,
    volumeClaimTemplates: list(any),
    serviceName: string,
    podManagementPolicy: string,
    updateStrategy: struct('StatefulSetUpdateStrategy', {
      type: string,
      rollingUpdate: struct('RollingUpdateStatefulSetStrategy', { partition: int32, maxUnavailable: intOrString }),
    }),
    revisionHistoryLimit: int32,
    minReadySeconds: int32,
    persistentVolumeClaimRetentionPolicy: any,
    ordinals: struct('StatefulSetOrdinals', { start: int32 }),
  }),
  status: struct('StatefulSetStatus', {
    observedGeneration: int64,
    replicas: int32,
    readyReplicas: int32,
    currentReplicas: int32,
    updatedReplicas: int32,
    currentRevision: string,
    updateRevision: string,
    collisionCount: int32,
    conditions: conditions('StatefulSetCondition'),
    availableReplicas: int32,
  }),
});

const DAEMONSET = object('DaemonSet', {
  spec: struct('DaemonSetSpec', {
    selector: LABEL_SELECTOR,
    template: POD_TEMPLATE,
    updateStrategy: struct('DaemonSetUpdateStrategy', {
      type: string,
      rollingUpdate: struct('RollingUpdateDaemonSet', { maxUnavailable: intOrString, maxSurge: intOrString }),
    }),
    minReadySeconds: int32,
    revisionHistoryLimit: int32,
  }),
  status: struct('DaemonSetStatus', {
    currentNumberScheduled: int32,
    numberMisscheduled: int32,
    desiredNumberScheduled: int32,
    numberReady: int32,
    observedGeneration: int64,
    updatedNumberScheduled: int32,
    numberAvailable: int32,
    numberUnavailable: int32,
    collisionCount: int32,
    conditions: conditions('DaemonSetCondition'),
  }),
});

const CONTROLLERREVISION = object('ControllerRevision', { data: any, revision: int64 });

const JOB_SPEC = struct('JobSpec', {
  parallelism: int32,
  completions: int32,
  activeDeadlineSeconds: int64,
  podFailurePolicy: any,
  successPolicy: any,
  backoffLimit: int32,
  backoffLimitPerIndex: int32,
  maxFailedIndexes: int32,
  selector: LABEL_SELECTOR,
  manualSelector: bool,
  template: POD_TEMPLATE,
  ttlSecondsAfterFinished: int32,
  completionMode: string,
  suspend: bool,
  podReplacementPolicy: string,
  managedBy: string,
});

const JOB = object('Job', {
  spec: JOB_SPEC,
  status: struct('JobStatus', {
    conditions: conditions('JobCondition', { lastProbeTime: time }),
    startTime: time,
    completionTime: time,
    active: int32,
    terminating: int32,
    succeeded: int32,
    failed: int32,
    completedIndexes: string,
    failedIndexes: string,
    uncountedTerminatedPods: struct('UncountedTerminatedPods', {
      succeeded: list(string, 'set'),
      failed: list(string, 'set'),
    }),
    ready: int32,
  }),
});

const CRONJOB = object('CronJob', {
  spec: struct('CronJobSpec', {
    schedule: string,
    timeZone: string,
    startingDeadlineSeconds: int64,
    concurrencyPolicy: string,
    suspend: bool,
    jobTemplate: struct('JobTemplateSpec', { metadata: OBJECT_META, spec: JOB_SPEC }),
    successfulJobsHistoryLimit: int32,
    failedJobsHistoryLimit: int32,
  }),
  status: struct('CronJobStatus', { active: list(OBJECT_REFERENCE), lastScheduleTime: time, lastSuccessfulTime: time }),
});

const PODDISRUPTIONBUDGET = object('PodDisruptionBudget', {
  spec: struct('PodDisruptionBudgetSpec', {
    minAvailable: intOrString,
    selector: LABEL_SELECTOR,
    maxUnavailable: intOrString,
    unhealthyPodEvictionPolicy: string,
  }),
  status: struct('PodDisruptionBudgetStatus', {
    observedGeneration: int64,
    disruptedPods: map(time),
    disruptionsAllowed: int32,
    currentHealthy: int32,
    desiredHealthy: int32,
    expectedPods: int32,
    conditions: CONDITIONS,
  }),
});

const HORIZONTALPODAUTOSCALER = object('HorizontalPodAutoscaler', {
  spec: struct('HorizontalPodAutoscalerSpec', {
    scaleTargetRef: struct('CrossVersionObjectReference', { kind: string, name: string, apiVersion: string }),
    minReplicas: int32,
    maxReplicas: int32,
    metrics: list(
      struct('MetricSpec', {
        type: string,
        object: any,
        pods: any,
        resource: struct('ResourceMetricSource', {
          name: string,
          target: struct('MetricTarget', {
            type: string,
            value: quantity,
            averageValue: quantity,
            averageUtilization: int32,
          }),
        }),
        containerResource: any,
        external: any,
      }),
    ),
    behavior: any,
  }),
  status: struct('HorizontalPodAutoscalerStatus', {
    observedGeneration: int64,
    lastScaleTime: time,
    currentReplicas: int32,
    desiredReplicas: int32,
    currentMetrics: list(any),
    conditions: conditions('HorizontalPodAutoscalerCondition'),
  }),
});

export const WORKLOADS: readonly Struct[] = [
  STATEFULSET,
  DAEMONSET,
  CONTROLLERREVISION,
  JOB,
  CRONJOB,
  PODDISRUPTIONBUDGET,
  HORIZONTALPODAUTOSCALER,
];
