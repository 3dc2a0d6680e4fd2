// The real kubectl and the workloads: what it rolls out, waits for, describes and debugs, on a cluster of userspace Pods.
import t from 'tap';
import { Kubectl, needsKubectl } from '../support/kubectl.ts';
import { Podwire } from '../support/podwire.ts';

const MANIFEST = 'test/fixtures/manifests/workloads.yml';

if (needsKubectl(t)) {
  t.test('workloads with kubectl', async (t) => {
    const podwire = new Podwire(t);
    await podwire.up(t, '--runtime', 'userspace', '--listen', '127.0.0.1:0');
    const kubectl = new Kubectl(podwire);
    const says = kubectl.says.bind(kubectl);
    const soon = kubectl.soon.bind(kubectl);

    await t.test('a StatefulSet has stable names, in the DNS too, and revisions', async (t) => {
      await says(
        t,
        `apply -f ${MANIFEST}`,
        /^service\/nginx created\nstatefulset\.apps\/web created\ndaemonset\.apps\/agent created\n/,
      );
      await says(t, 'rollout status sts/web --timeout=90s', /partitioned roll out complete: 2 new pods/);
      await says(t, 'rollout status ds/agent --timeout=90s', 'daemon set "agent" successfully rolled out\n');
      await says(
        t,
        'get sts,ds',
        /\nstatefulset\.apps\/web +2\/2 +[\dhms]+\n[\s\S]*\ndaemonset\.apps\/agent +1 +1 +1 +1 +1 +<none> +[\dhms]+\n$/,
      );
      const all = await says(t, 'get all', /^NAME/);
      const kinds = [...all.matchAll(/^([a-z.]+)\/\S+ /gm)].map((match) => match[1]);
      t.same([...new Set(kinds)], ['pod', 'service', 'daemonset.apps', 'statefulset.apps'], 'in the usual order');
      await says(t, 'run box --image=busybox:1 -- sleep 3600', 'pod/box created\n');
      await says(t, 'wait --for=condition=Ready pod/box --timeout=90s', 'pod/box condition met\n');
      const ip = await says(t, 'get pod web-1 -o jsonpath={.status.podIP}', /^10\.244\./);
      await says(
        t,
        'exec box -- nslookup web-1.nginx.default.svc.cluster.local',
        new RegExp(`Address:? ?\\d*:? ${ip}`),
      );
      await says(t, 'exec web-1 -- hostname', 'web-1\n');
      await says(t, 'set image sts/web nginx=nginx:1.28', 'statefulset.apps/web image updated\n');
      await says(t, 'rollout status sts/web --timeout=90s', /partitioned roll out complete: 2 new pods/);
      await says(t, 'rollout history sts/web', /\nREVISION +CHANGE-CAUSE\n1 +<none>\n2 +<none>\n/);
      await says(t, 'rollout undo sts/web --to-revision=1', 'statefulset.apps/web rolled back\n');
      await says(t, 'rollout status sts/web --timeout=90s', /partitioned roll out complete: 2 new pods/);
      await says(t, 'get pod web-0 -o jsonpath={.spec.containers[0].image}', 'nginx:1.27');
      await says(
        t,
        'get controllerrevisions',
        /\nagent-\w+ +daemonset\.apps\/agent +1 +[\dhms]+\nweb-\w+ +statefulset\.apps\/web +3 +[\dhms]+\n/,
      );
      await says(t, 'scale sts/web --replicas=1', 'statefulset.apps/web scaled\n');
      await says(t, 'wait --for=delete pod/web-1 --timeout=90s', /^$|deleted|condition met/);
      await says(t, 'rollout restart ds/agent', 'daemonset.apps/agent restarted\n');
      await says(t, 'rollout status ds/agent --timeout=90s', /successfully rolled out/);
      await says(
        t,
        'describe sts web',
        /\nReplicas: +1 desired \| 1 total\nUpdate Strategy: +RollingUpdate\n {2}Partition: +0\nPods Status: +1 Running/,
      );
      await says(
        t,
        'describe ds agent',
        /\nDesired Number of Nodes Scheduled: 1\n[\s\S]* SuccessfulCreate .* daemonset-controller +Created pod: agent-/,
      );
    });

    await t.test('Jobs run to their end', async (t) => {
      await says(t, 'create job hello --image=busybox:1 -- echo hi', 'job.batch/hello created\n');
      await says(t, 'wait --for=condition=complete job/hello --timeout=90s', 'job.batch/hello condition met\n');
      await says(t, 'logs job/hello', 'hi\n');
      await says(
        t,
        'get jobs',
        /^NAME +STATUS +COMPLETIONS +DURATION +AGE\nhello +Complete +1\/1 +[\dhms]+ +[\dhms]+\n$/,
      );
      await says(t, 'get pods -l job-name=hello', /\nhello-\w{5} +0\/1 +Completed +0 +[\dhms]+\n$/);
      await says(
        t,
        'describe job hello',
        /\nPods Statuses: +0 Active \(0 Ready\) \/ 1 Succeeded \/ 0 Failed\n[\s\S]* Completed .* job-controller +Job completed\n/,
      );
      await says(t, 'create cronjob tick --image=busybox:1 --schedule=@hourly -- date', 'cronjob.batch/tick created\n');
      await says(t, 'get cronjob tick', /\ntick +@hourly +<none> +False +0 +<none> +[\dhms]+\n$/);
      await says(t, 'create job now --from=cronjob/tick', 'job.batch/now created\n');
      await says(t, 'wait --for=condition=complete job/now --timeout=90s', 'job.batch/now condition met\n');
      await says(
        t,
        'delete job/hello job/now cronjob/tick',
        /job\.batch "hello" deleted[\s\S]*cronjob\.batch "tick" deleted/,
      );
      await soon('get pods -l job-name=hello -o name', /^$/);
    });

    await t.test('what goes wrong with Pods is told as the kubelet tells it', async (t) => {
      await says(t, 'logs init -c first', 'from init\n');
      await says(t, 'logs init --all-containers', /from init[\s\S]*hello|hello[\s\S]*from init/);
      await says(t, 'logs init -c nope', 'error: container nope is not valid for pod init\n', 1);
      await soon('get pod crash', /CrashLoopBackOff/);
      await says(t, 'logs crash --previous', 'ran\n');
      await says(t, 'logs box --previous', /previous terminated container "box" in pod "box" not found/, 1);
      await says(
        t,
        'describe pod crash',
        /Last State: +Terminated\n +Reason: +Error\n +Exit Code: +3\n[\s\S]* BackOff .* Back-off restarting failed container main in pod crash_default\([0-9a-f-]{36}\)\n/,
      );
      await soon('describe pod unhealthy', /Killing/);
      const told = await says(
        t,
        'describe pod unhealthy',
        /Liveness probe failed: Get "http:\/\/10\.244\.\d+\.\d+:81\/": dial tcp 10\.244\.\d+\.\d+:81: connect: connection refused\n/,
      );
      await soon(
        'describe pod unhealthy',
        /Readiness probe failed: dial tcp 10\.244\.\d+\.\d+:82: connect: connection refused\n/,
      );
      t.match(told, /Container main failed liveness probe, will be restarted\n/);
      await soon('get pod variables', /CreateContainerConfigError/);
      await says(t, 'describe pod variables', /Error: configmap "settings" not found\n/);
      await says(t, 'create configmap settings --from-literal=COLOUR=blue', 'configmap/settings created\n');
      await says(t, 'wait --for=condition=Ready pod/variables --timeout=90s', 'pod/variables condition met\n');
      const env = await says(t, 'exec variables -- env', /(^|\n)COLOUR=blue\n/);
      t.match(env, /(^|\n)MY_NODE=node-1\n/);
      t.match(env, /(^|\n)KUBERNETES_SERVICE_HOST=10\.96\.0\.1\n/);
      t.match(env, /(^|\n)KUBERNETES_PORT_443_TCP_ADDR=10\.96\.0\.1\n/);
      await says(
        t,
        'get events --field-selector involvedObject.name=unhealthy',
        /Warning +Unhealthy +pod\/unhealthy +Liveness probe failed/,
      );
      await says(t, 'events --for pod/crash', /Warning +BackOff +Pod\/crash +Back-off restarting/);
      await says(t, 'delete pod crash unhealthy variables init --now', /pod "crash" deleted/);
    });

    await t.test('a container is added for debugging', async (t) => {
      const debug = 'debug box --image=busybox:1 --profile=general -c look -- sh -c hostname';
      await kubectl.run(debug);
      await soon(
        'get pod box -o jsonpath={.status.ephemeralContainerStatuses[0].state.terminated.reason}',
        /^Completed$/,
      );
      await says(t, 'logs box -c look', 'box\n');
      await says(t, 'delete pod box --force --grace-period=0', /pod "box" force deleted/);
    });

    await t.test('the manifest goes as it came', async (t) => {
      await says(t, `delete -f ${MANIFEST} --ignore-not-found`, /statefulset\.apps "web" deleted/);
      await soon('get sts,ds,pods,controllerrevisions -o name', /^$/);
    });
  });
}
