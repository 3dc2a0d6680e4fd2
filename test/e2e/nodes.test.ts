// The real kubectl and a Node: described, cordoned, drained within budgets, tainted; and a Deployment changed in every way.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Kubectl, needsKubectl } from '../support/kubectl.ts';
import { Podwire } from '../support/podwire.ts';

if (needsKubectl(t)) {
  t.test('Nodes and Deployments with kubectl', async (t) => {
    const podwire = new Podwire(t);
    await podwire.up(t, '--runtime', 'userspace', '--listen', '127.0.0.1:0');
    const kubectl = new Kubectl(podwire);
    const says = kubectl.says.bind(kubectl);
    const soon = kubectl.soon.bind(kubectl);

    await t.test('a Node is described, cordoned, drained within its budgets, and tainted', async (t) => {
      const node = await says(
        t,
        'describe node node-1',
        /\n {2}Ready +True .* KubeletReady +kubelet is posting ready status\n/,
      );
      t.match(node, /\nAllocatable:\n {2}cpu: +\d+\n {2}ephemeral-storage: +\d+\n/);
      t.match(node, /\n {2}cpu +200m \(\d+%\) +0 \(0%\)\n {2}memory +140Mi \(\d+%\) +340Mi \(\d+%\)\n/);
      t.match(node, /NodeReady .* kubelet +Node node-1 status is now: NodeReady\n/);
      await says(t, 'create deployment guarded --image=nginx:1 --replicas=2', 'deployment.apps/guarded created\n');
      await says(t, 'rollout status deploy/guarded --timeout=90s', /successfully rolled out/);
      await says(
        t,
        'create pdb guarded --selector=app=guarded --min-available=2',
        'poddisruptionbudget.policy/guarded created\n',
      );
      await soon('get pdb', /\nguarded +2 +N\/A +0 +[\dhms]+\n/);
      const drain = await kubectl.run(
        'drain node-1 --ignore-daemonsets --force --timeout=6s --pod-selector=app=guarded',
      );
      t.equal(drain.code, 1);
      t.match(drain.stderr, /Cannot evict pod as it would violate the pod's disruption budget\./);
      await says(t, 'get nodes', /\nnode-1 +Ready,SchedulingDisabled +<none> +[\dhms]+ +v1\.35\.0\n/);
      await soon(
        'describe node node-1',
        / NodeNotSchedulable .* kubelet +Node node-1 status is now: NodeNotSchedulable\n/,
      );
      await says(t, 'run late --image=nginx:1', 'pod/late created\n');
      await soon(
        'describe pod late',
        / FailedScheduling .* 0\/1 nodes are available: 1 node\(s\) were unschedulable\. preemption: 0\/1 nodes/,
      );
      await says(t, 'delete pdb guarded', /deleted/);
      await says(
        t,
        'drain node-1 --ignore-daemonsets --force --timeout=90s --pod-selector=app=guarded',
        /node\/node-1 drained\n$/,
      );
      await says(t, 'uncordon node-1', 'node/node-1 uncordoned\n');
      await says(t, 'wait --for=condition=Ready pod/late --timeout=90s', 'pod/late condition met\n');
      await says(t, 'taint node node-1 broken=yes:NoExecute', 'node/node-1 tainted\n');
      await soon('get pod late -o name --ignore-not-found', /^$/);
      await says(t, 'taint node node-1 broken-', 'node/node-1 untainted\n');
      await says(t, 'rollout status deploy/guarded --timeout=90s', /successfully rolled out/);
    });

    await t.test('a Deployment is set, paused, edited, replaced and orphaned', async (t) => {
      await says(t, 'set env deploy/guarded A=b', 'deployment.apps/guarded env updated\n');
      await says(t, 'rollout pause deploy/guarded', 'deployment.apps/guarded paused\n');
      await says(t, 'set image deploy/guarded nginx=nginx:2', 'deployment.apps/guarded image updated\n');
      await says(t, 'rollout resume deploy/guarded', 'deployment.apps/guarded resumed\n');
      await says(t, 'rollout status deploy/guarded --timeout=90s', /successfully rolled out/);
      await says(t, 'rollout history deploy/guarded --revision=3', /Image:\tnginx:2\n[\s\S]*A:\tb\n/);
      await says(t, 'scale deploy/guarded --replicas=3 --current-replicas=7', /Expected replicas to be 7, was 2/, 1);
      await says(t, 'scale deploy/guarded --replicas=1', 'deployment.apps/guarded scaled\n');
      await says(
        t,
        'wait --for=jsonpath={.status.readyReplicas}=1 deploy/guarded --timeout=90s',
        'deployment.apps/guarded condition met\n',
      );
      await says(
        t,
        'autoscale deploy guarded --min=1 --max=3 --cpu=70%',
        'horizontalpodautoscaler.autoscaling/guarded autoscaled\n',
      );
      await soon('get hpa', /\nguarded +Deployment\/guarded +cpu: <unknown>\/70% +1 +3 +1 +[\dhms]+\n/);
      await soon(
        'describe hpa guarded',
        / FailedGetResourceMetric .* unable to fetch metrics from resource metrics API/,
      );
      await says(t, 'delete hpa guarded', /deleted/);
      await says(t, 'label deploy guarded tier=front', 'deployment.apps/guarded labeled\n');
      await says(
        t,
        'label deploy guarded tier=back',
        /'tier' already has a value \(front\), and --overwrite is false/,
        1,
      );
      await says(t, 'label deploy guarded tier=back --overwrite', 'deployment.apps/guarded labeled\n');
      await says(t, 'annotate deploy guarded note-', /annotated|not found/);
      const file = join(podwire.dir, 'guarded.yml');
      const yaml = await says(t, 'get deploy guarded -o yaml', /\n {2}replicas: 1\n/);
      writeFileSync(file, yaml.replace(/^ {2}resourceVersion:.*\n/m, '').replace('replicas: 1', 'replicas: 2'));
      await says(t, `replace -f ${file}`, 'deployment.apps/guarded replaced\n');
      await says(t, 'get deploy guarded -o jsonpath={.spec.replicas}', '2');
      const edited = await kubectl.edit('edit deploy/guarded', "sed -i 's/replicas: 2/replicas: 1/'");
      t.equal(edited.stdout, 'deployment.apps/guarded edited\n', edited.stderr);
      await says(t, 'delete deploy guarded --cascade=orphan', /deployment\.apps "guarded" deleted/);
      await says(t, 'get rs -l app=guarded -o name', /^replicaset\.apps\/guarded-/);
      await says(t, 'delete rs -l app=guarded', /deleted/);
      await says(t, 'top pods', 'error: Metrics API not available\n', 1);
    });
  });
}
