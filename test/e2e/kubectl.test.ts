// The real kubectl drives a cluster of userspace Pods: the commands of the service-discovery texts, and the everyday ones.
import { once } from 'node:events';
import t, { type Test } from 'tap';
import { Kubectl, needsKubectl } from '../support/kubectl.ts';
import { canRun } from '../support/netns.ts';
import { collect, eventually, Podwire } from '../support/podwire.ts';

if (needsKubectl(t)) {
  t.test('kubectl', async (t) => {
    const podwire = new Podwire(t);
    await podwire.up(t, '--runtime', 'userspace', '--listen', '127.0.0.1:0');
    const kubectl = new Kubectl(podwire);
    const says = kubectl.says.bind(kubectl);

    await t.test('a Pod finds another by its Service name, once there is a Service', async (t) => {
      await says(t, 'run interginx --image=nginx', 'pod/interginx created\n');
      await says(t, 'run anotherbox --image=busybox --restart=Never -- sleep 3600', 'pod/anotherbox created\n');
      await says(
        t,
        'wait --for=condition=Ready pod/interginx pod/anotherbox --timeout=90s',
        'pod/interginx condition met\npod/anotherbox condition met\n',
      );
      await says(t, 'get pods', /^NAME +READY +STATUS +RESTARTS +AGE\nanotherbox +1\/1 +Running +0 +[\dhms]+\n/);
      await says(t, 'exec anotherbox -- wget -qO- interginx', /bad address|can't resolve|could not resolve/i, 1);
      const ip = await says(t, 'get pod interginx -o jsonpath={.status.podIP}', /^10\.244\.0\.\d+$/);
      await says(t, `exec anotherbox -- wget -qO- ${ip}`, /<html>/);
      await says(t, 'expose pod interginx --port=80', 'service/interginx exposed\n');
      await eventually('the Service has an endpoint', async () =>
        (await kubectl.run('get endpoints interginx')).stdout.includes(`${ip}:80`),
      );
      await says(t, 'exec anotherbox -- wget -qO- interginx', /<html>/);
      await says(
        t,
        'get svc interginx',
        /^NAME .*\ninterginx +ClusterIP +10\.\d+\.\d+\.\d+ +<none> +80\/TCP +[\dhms]+\n$/,
      );
    });

    await t.test('another Namespace needs the longer name', async (t) => {
      await says(t, 'create ns remote', 'namespace/remote created\n');
      await says(t, 'run remotebox --image=busybox --restart=Never -n remote -- sleep 3600', 'pod/remotebox created\n');
      await says(t, 'wait --for=condition=Ready pod/remotebox -n remote --timeout=90s', /condition met/);
      await says(t, 'exec remotebox -n remote -- wget -qO- interginx', /bad address/i, 1);
      await says(t, 'exec remotebox -n remote -- wget -qO- interginx.default.svc.cluster.local', /<html>/);
    });

    await t.test('the example is applied, twice, and changed', async (t) => {
      const created = await says(t, 'apply -f examples/sd-example.yml', /^namespace\/dev created\n/);
      t.equal(created.match(/ created\n/g)?.length, 8);
      const again = await says(t, 'apply -f examples/sd-example.yml', /^namespace\/dev unchanged\n/);
      t.equal(again.match(/ unchanged\n/g)?.length, 8);
      await says(t, 'rollout status deployment/enterprise -n dev --timeout=90s', /successfully rolled out/);
      const all = await says(t, 'get all -n dev', /^NAME +READY +STATUS/);
      t.match(all, /\ndeployment\.apps\/enterprise +2\/2 +2 +2 +[\dhms]+\n/);
      t.match(all, /\nreplicaset\.apps\/enterprise-[4-9bcdf]+-?\w* +2 +2 +2 +[\dhms]+\n/);
      t.match(all, /\nservice\/manchester +LoadBalancer +10\.[\d.]+ +<pending> +80:3\d{4}\/TCP +[\dhms]+\n/);
      await says(t, 'scale deployment enterprise --replicas=3 -n dev', 'deployment.apps/enterprise scaled\n');
      await says(t, 'rollout restart deployment/enterprise -n dev', 'deployment.apps/enterprise restarted\n');
      await says(t, 'rollout status deployment/enterprise -n dev --timeout=90s', /successfully rolled out/);
      await says(t, 'rollout undo deployment/enterprise -n dev', 'deployment.apps/enterprise rolled back\n');
      await says(t, 'describe svc ent -n dev', /\nEndpoints: +10\.244\.0\.\d+:8080,/);
      await says(t, 'delete -f examples/sd-example.yml --wait=false --ignore-not-found', /^namespace "dev" deleted\n/);
    });

    await t.test('objects are made by every kubectl create', async (t) => {
      const commands = {
        'create deployment d --image=nginx --replicas=2 --port=80': 'deployment.apps/d',
        'create configmap cm --from-literal=a=b': 'configmap/cm',
        'create secret generic s --from-literal=a=b': 'secret/s',
        'create serviceaccount sa': 'serviceaccount/sa',
        'create service clusterip s1 --tcp=80:8080': 'service/s1',
        'create service nodeport s2 --tcp=80:8080 --node-port=30080': 'service/s2',
        'create service loadbalancer s3 --tcp=80:8080': 'service/s3',
        'create service externalname s4 --external-name=a.b': 'service/s4',
      };
      for (const [line, name] of Object.entries(commands)) await says(t, line, `${name} created\n`);
      await says(t, 'get svc s2', /\ns2 +NodePort +10\.[\d.]+ +<none> +80:30080\/TCP +[\dhms]+\n$/);
      await says(t, 'label svc s1 tier=front', 'service/s1 labeled\n');
      await says(t, 'annotate svc s1 why=test', 'service/s1 annotated\n');
      await says(t, 'patch svc s1 -p {"spec":{"type":"NodePort"}}', 'service/s1 patched\n');
      await says(t, 'get svc -l tier=front -o name', 'service/s1\n');
      await says(t, 'set image deployment/d nginx=nginx:2', 'deployment.apps/d image updated\n');
      await says(t, 'delete svc s1 s2 s3', /^service "s1" deleted/);
      await says(t, 'get svc s1', 'Error from server (NotFound): services "s1" not found\n', 1);
      await says(t, 'create ns remote', 'Error from server (AlreadyExists): namespaces "remote" already exists\n', 1);
    });

    await t.test('what was got is applied again; a kind that is not served is named', async (t) => {
      const list = await says(t, 'get service,configmap -o yaml', /^apiVersion: v1\nitems:\n/);
      const applied = await kubectl.args(['apply', '-f', '-'], list);
      t.equal(applied.code, 0, applied.stderr);
      t.match(applied.stdout, /^service\/kubernetes configured\n(.*\n)*configmap\/cm configured\n/m);
      const absent = 'apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\n';
      for (const command of ['apply', 'create']) {
        const { code, stderr } = await kubectl.args([command, '-f', '-'], absent);
        t.equal(code, 1);
        t.match(
          stderr,
          /no matches for kind "Widget" in version "example\.com\/v1"\nensure CRDs are installed first\n/,
        );
      }
      t.match(
        (await kubectl.run('get endpoints kubernetes')).stderr,
        /^Warning: v1 Endpoints is deprecated in v1\.33\+; use /,
      );
    });

    await t.test('exec passes input, output and the exit code', async (t) => {
      t.equal((await kubectl.args(['exec', '-i', 'anotherbox', '--', 'cat'], 'hello\n')).stdout, 'hello\n');
      const failed = await kubectl.args(['exec', 'anotherbox', '--', 'sh', '-c', 'echo out; echo err >&2; exit 3']);
      t.same([failed.code, failed.stdout], [3, 'out\n']);
      t.match(failed.stderr, /^err\ncommand terminated with exit code 3\n/);
      await says(t, 'exec nobody -- ls', 'Error from server (NotFound): pods "nobody" not found\n', 1);
      await says(t, 'exec anotherbox -c other -- ls', /container other is not valid for pod anotherbox/, 1);
    });

    await t.test('a command gets a terminal, or joins its Pod, and nothing of its output is lost', async (t) => {
      const joined = await kubectl.args(
        ['run', 'catter', '-i', '--rm', '--image=busybox', '--restart=Never', '--', 'cat'],
        'one\ntwo\n',
      );
      t.same([joined.code, joined.stdout.replace(/^pod .*\n/m, '')], [0, 'one\ntwo\n'], joined.stderr);
      if (!canRun(t, 'script')) return;
      const terminal = await kubectl.terminal(['exec', '-it', 'anotherbox', '--', 'sh'], async (type, shows) => {
        await shows('# ');
        type('echo he"l"lo\r');
        await shows('\r\nhello\r\n');
        type('exit 5\r');
      });
      t.match(terminal.stdout, /command terminated with exit code 5/);
      t.equal(terminal.code, 5);
    });

    await t.test('logs, whole, the last lines, with times, and followed to the end', async (t) => {
      const pods = await says(t, 'get pods -n kube-system -l k8s-app=kube-dns -o name', /^pod\/coredns-/);
      const coredns = pods.split('\n')[0]!;
      await says(t, `logs -n kube-system ${coredns}`, /\nCoreDNS-1\./);
      await says(t, `logs -n kube-system ${coredns} --tail=1`, /^[^\n]+\n$/);
      await says(
        t,
        `logs -n kube-system ${coredns} --tail=1 --timestamps`,
        /^\d{4}-\d\d-\d\dT[\d:]+\.\d{9}Z [^\n]+\n$/,
      );
      const args = [
        'run',
        'talker',
        '--image=busybox',
        '--restart=Never',
        '--',
        'sh',
        '-c',
        'echo one; until [ -e /go ]; do sleep 0.1; done; echo two',
      ];
      t.equal((await kubectl.args(args)).code, 0);
      await says(t, 'wait --for=jsonpath={.status.phase}=Running pod/talker --timeout=90s', /condition met/);
      const followed = kubectl.spawn(['logs', '-f', 'talker']);
      const end = collect(followed);
      await once(followed.stdout!, 'data');
      t.equal((await kubectl.args(['exec', 'talker', '--', 'sh', '-c', 'echo > /go'])).code, 0);
      t.match(await end, { code: 0, stdout: 'one\ntwo\n' });
      await says(t, 'logs talker --previous', /previous terminated container "talker" in pod "talker" not found/, 1);
    });

    const editCorefile = async (t: Test, edit: (text: string) => string): Promise<void> => {
      const { stdout } = await kubectl.run('get configmap coredns -n kube-system -o json');
      const patch = {
        data: { Corefile: edit((JSON.parse(stdout) as { data: Record<string, string> }).data['Corefile']!) },
      };
      const args = [
        'patch',
        'configmap',
        'coredns',
        '-n',
        'kube-system',
        '--type',
        'merge',
        '-p',
        JSON.stringify(patch),
      ];
      t.match(await kubectl.args(args), { code: 0, stdout: 'configmap/coredns patched\n' });
    };

    await t.test('the CoreDNS Pods come back when they are deleted by label', async (t) => {
      // They look at their Corefile every thirty seconds; those that start now every two.
      await editCorefile(t, (text) => text.replace(/^( *)reload$/m, '$1reload 2s 1s'));
      await says(t, 'delete pod -n kube-system -l k8s-app=kube-dns', /^pod "coredns-/);
      await says(t, 'rollout status deployment/coredns -n kube-system --timeout=90s', /successfully rolled out/);
      await eventually('names resolve again', async () =>
        (await kubectl.run('exec anotherbox -- wget -qO- interginx')).stdout.includes('<html>'),
      );
    });

    await t.test('CoreDNS takes an edited Corefile while it runs, and logs it', async (t) => {
      await editCorefile(t, (text) => text.replace(/^( *)errors$/m, '$1errors\n$1log'));
      await eventually('both have reloaded', async () => {
        const { stdout } = await kubectl.run('logs -n kube-system -l k8s-app=kube-dns --tail=-1');
        return stdout.match(/^\[INFO\] Reloading complete$/gm)?.length === 2;
      });
    });

    await t.test('what is known about the cluster', async (t) => {
      await says(t, 'version', /Server Version: v1\.35\./);
      await says(t, 'get nodes -o wide', /\nnode-1 +Ready +<none> +[\dhms]+ +v1\.35\.\d+ +192\.168\.49\.2 /);
      await says(t, 'api-resources -o name', /\ndeployments\.apps\n/);
      await says(t, 'explain service.spec.clusterIP', /FIELD: clusterIP <string>/);
      await says(t, 'cluster-info', /Kubernetes control plane is running at https:\/\/127\.0\.0\.1:\d+\n|CoreDNS/);
      await says(t, 'get --raw /readyz?verbose', /\[\+\]etcd ok\n[\s\S]*readyz check passed\n$/);
      await says(
        t,
        'get --raw /metrics',
        /\napiserver_request_total\{code="200",.*resource="pods",scope="namespace".*verb="LIST"/,
      );
      await says(
        t,
        'get --raw /api/v1/namespaces/kube-system/services/kube-dns:metrics/proxy/metrics',
        /\ncoredns_build_info\{/,
      );
      await says(t, 'api-versions', /^apps\/v1\n[\s\S]*\nv1\n$/);
      await says(
        t,
        'get componentstatuses',
        'error: the server doesn\'t have a resource type "componentstatuses"\n',
        1,
      );
      const proxy = kubectl.spawn(['proxy', '--port=0']);
      const [line] = (await once(proxy.stdout!, 'data')) as [Buffer];
      const port = /^Starting to serve on 127\.0\.0\.1:(\d+)\n$/.exec(line.toString())?.[1];
      const proxied = await fetch(`http://127.0.0.1:${port}/api/v1/namespaces/default/pods/interginx`);
      t.equal(((await proxied.json()) as { kind: string }).kind, 'Pod', 'through kubectl proxy');
      proxy.kill();
      await says(t, 'describe pod interginx', /Successfully assigned default\/interginx to node-1/);
      await says(t, 'get events --field-selector involvedObject.name=interginx', /Normal +Started +pod\/interginx/);
      await says(t, 'auth can-i get pods', 'yes\n');
      await says(t, 'auth whoami', /Username +kubernetes-admin\nGroups +\[system:masters system:authenticated\]\n/);
      await says(t, 'debug interginx --image=busybox --profile=general --quiet -- true', '');
      await says(t, 'cordon node-1', 'node/node-1 cordoned\n');
      await says(t, 'get nodes', /\nnode-1 +Ready,SchedulingDisabled /);
      await says(t, 'uncordon node-1', 'node/node-1 uncordoned\n');
      await says(t, 'top pods', 'error: Metrics API not available\n', 1);
    });
  });
}
