// Workloads on a cluster that is killed and comes back from its store: what had ended stays ended, what ran once does not run
// twice, and names stay with their addresses.
import { once } from 'node:events';
import { join } from 'node:path';
import t from 'tap';
import { Kubectl, needsKubectl } from '../support/kubectl.ts';
import { Podwire } from '../support/podwire.ts';

const MANIFEST = `
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: None, selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: web}
spec:
  serviceName: web
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: "nginx:1"}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: done}
spec:
  template: {spec: {restartPolicy: Never, containers: [{name: c, image: "busybox:1", command: [echo, once]}]}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: cut}
spec:
  backoffLimit: 3
  template: {spec: {restartPolicy: Never, containers: [{name: c, image: "busybox:1", command: [sleep, "3600"]}]}}
`;

if (needsKubectl(t)) {
  t.test('workloads after kill -9', async (t) => {
    const podwire = new Podwire(t);
    const store = join(t.testdir(), 'store');
    const start = () => podwire.up(t, '--runtime', 'userspace', '--listen', '127.0.0.1:0', '--store', store);
    const first = await start();
    const kubectl = new Kubectl(podwire);
    const addresses = () =>
      kubectl.says(
        t,
        'get pods -l app=web -o jsonpath={range.items[*]}{.metadata.name}={.status.podIP};{end}',
        /^web-0=10\..*web-1=10\./,
      );
    t.equal((await kubectl.args(['apply', '-f', '-'], MANIFEST)).code, 0);
    await kubectl.says(t, 'rollout status sts/web --timeout=90s', /roll out complete/);
    await kubectl.says(t, 'wait --for=condition=complete job/done --timeout=90s', /condition met/);
    await kubectl.says(t, 'wait --for=condition=Ready pod -l job-name=cut --timeout=90s', /condition met/);
    const before = await addresses();
    const cut = await kubectl.says(t, 'get pods -l job-name=cut -o name', /^pod\/cut-/);
    first.kill('SIGKILL');
    await once(first, 'exit');

    await start();
    await kubectl.says(t, 'rollout status sts/web --timeout=90s', /roll out complete/);
    t.equal(await addresses(), before, 'the same names at the same addresses');
    await kubectl.says(t, 'get jobs done', /\ndone +Complete +1\/1 /);
    await kubectl.says(t, 'get pods -l job-name=done', /\ndone-\w+ +0\/1 +Completed +0 +[\dhms]+\n$/);
    await kubectl.soon(`get ${cut.trim()}`, / 0\/1 +(Error|Unknown) +0 /);
    // Ten seconds later it makes another.
    await kubectl.soon('get job cut -o jsonpath={.status.failed}', /^1$/);
  });
}
