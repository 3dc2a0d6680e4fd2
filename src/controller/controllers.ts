// The controller manager and the scheduler: everything that turns wishes in the API into other objects. After
// cmd/kube-controller-manager and cmd/kube-scheduler, without leader election. All speak through one ApiClient and share
// one informer a kind.
import { CertificateSigner, type SignClient } from './certificate-signer.ts';
import { ClusterRoleAggregationController } from './clusterrole-aggregation.ts';
import { type Controller, createContext } from './context.ts';
import { CronJobController } from './cronjob/cronjob.ts';
import { DaemonSetController } from './daemonset/daemonset.ts';
import { DeploymentController } from './deployment/deployment.ts';
import { DisruptionController } from './disruption.ts';
import { EndpointsController } from './endpoints/endpoints.ts';
import { EndpointSliceController } from './endpointslice/endpointslice.ts';
import { EndpointSliceMirroringController } from './endpointslice/mirroring.ts';
import { GarbageCollector } from './garbage-collector/garbage-collector.ts';
import { HorizontalAutoscaler } from './horizontal-autoscaler.ts';
import { JobController } from './job/job.ts';
import { TtlAfterFinishedController } from './job/ttl.ts';
import { KubernetesService } from './kubernetes-service.ts';
import { NamespaceController } from './namespace.ts';
import { NodeLifecycleController } from './node-lifecycle.ts';
import type { ControllerOptions } from './options.ts';
import { PodGarbageCollector } from './pod-gc.ts';
import { ReplicaSetController } from './replicaset/replicaset.ts';
import { ResourceQuotaController } from './resource-quota.ts';
import { RootCaPublisher } from './root-ca.ts';
import { Scheduler } from './scheduler/scheduler.ts';
import { ServiceAccountController } from './service-account.ts';
import { ServiceAccountTokenController } from './service-account-token.ts';
import { StatefulSetController } from './statefulset/statefulset.ts';
import { TaintEvictionController } from './taint-eviction.ts';

export interface StartOptions extends ControllerOptions {
  /** The Node address at which the API server listens, the endpoint of default/kubernetes. */
  readonly apiserverAddress: string;
  /** Default 8443. */
  readonly apiserverPort?: number;
  /** ClusterIP of default/kubernetes; default 10.96.0.1. */
  readonly apiServiceIP?: string;
  /** PEM of the CA that signed the API server's certificate; without it none is published, and no Secret gets a token. */
  readonly rootCA?: Promise<string>;
  /** Without it no CertificateSigningRequest is answered. */
  readonly signClient?: SignClient;
}

export interface Controllers {
  /** Resolves when every controller has seen the whole cluster and works. */
  readonly ready: Promise<void>;
  /** Idempotent. Requests under way finish; nothing new begins. */
  close(): void;
}

/** Starts them all and returns at once. The Namespaces of `bootstrap` must be there, or come soon. */
export function startControllers(options: StartOptions): Controllers {
  const ctx = createContext(options);
  const { apiserverAddress, apiserverPort = 8443, apiServiceIP = '10.96.0.1', rootCA, signClient } = options;
  const controllers: Controller[] = [
    new ServiceAccountController(ctx),
    ...(rootCA ? [new RootCaPublisher(ctx, rootCA), new ServiceAccountTokenController(ctx, rootCA)] : []),
    new KubernetesService(ctx, { clusterIP: apiServiceIP, address: apiserverAddress, port: apiserverPort }),
    new NodeLifecycleController(ctx),
    new TaintEvictionController(ctx),
    new DeploymentController(ctx),
    new ReplicaSetController(ctx),
    new StatefulSetController(ctx),
    new DaemonSetController(ctx),
    new JobController(ctx),
    new TtlAfterFinishedController(ctx),
    new CronJobController(ctx),
    new DisruptionController(ctx),
    new HorizontalAutoscaler(ctx),
    new Scheduler(ctx),
    new EndpointSliceController(ctx),
    new EndpointsController(ctx),
    new EndpointSliceMirroringController(ctx),
    new NamespaceController(ctx),
    new GarbageCollector(ctx),
    new PodGarbageCollector(ctx),
    new ClusterRoleAggregationController(ctx),
    new ResourceQuotaController(ctx),
    ...(signClient ? [new CertificateSigner(ctx, signClient)] : []),
  ];
  let closed = false;
  ctx.informers.start();
  const ready = ctx.informers.synced().then(() => {
    if (closed) return;
    for (const controller of controllers) controller.run();
  });
  return {
    ready,
    close: () => {
      closed = true;
      for (const controller of controllers) controller.close();
      ctx.informers.close();
    },
  };
}
