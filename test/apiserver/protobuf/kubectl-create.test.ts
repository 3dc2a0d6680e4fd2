// `kubectl create` sends protobuf: what the server then has is what kubectl prints of the same command without sending it.
import t from 'tap';
import { Kubectl, needsKubectl } from '../../support/kubectl.ts';

const COMMANDS: readonly string[] = [
  'namespace n1',
  'configmap cm --from-literal=a=b',
  'secret generic s --from-literal=a=b',
  'secret docker-registry dr --docker-server=a --docker-username=b --docker-password=c',
  'serviceaccount sa',
  'service clusterip s1 --tcp=80:8080',
  'service clusterip s1h --clusterip=None',
  'service nodeport s2 --tcp=80:8080 --node-port=30080',
  'service loadbalancer s3 --tcp=80:8080',
  'service externalname s4 --external-name=a.b',
  'deployment d --image=nginx --replicas=2 --port=80',
  'deployment d2 --image=nginx -- sh -c date',
  'job j --image=busybox',
  'job j2 --image=busybox -- date',
  'cronjob cj --image=busybox --schedule=@hourly',
  'role r --verb=get,list --resource=pods --resource-name=a',
  'rolebinding rb --clusterrole=view --user=jane --group=g --serviceaccount=default:sa',
  'clusterrole cr --verb=get --non-resource-url=/logs/*',
  'clusterrole agg --aggregation-rule=a=b',
  'clusterrolebinding crb --clusterrole=view --user=jane',
  'poddisruptionbudget pdb --selector=app=web --min-available=1',
  'poddisruptionbudget pdb2 --selector=app=web --max-unavailable=50%',
];

/** The members of `printed` that `stored` lacks or has otherwise; nothing counts like absence. */
function missing(printed: unknown, stored: unknown, path = ''): string[] {
  if (printed === null || printed === '' || printed === 0 || printed === false) return [];
  if (typeof printed !== 'object') return printed === stored ? [] : [`${path}: ${printed}, not ${stored}`];
  const there = (stored ?? {}) as Record<string, unknown>;
  return Object.entries(printed).flatMap(([key, member]) => missing(member, there[key], `${path}.${key}`));
}

if (needsKubectl(t)) {
  t.test('every kubectl create', async (t) => {
    const { kubectl } = await Kubectl.ofApi(t);
    for (const command of COMMANDS) {
      const [head, tail] = command.split(' -- ') as [string, string | undefined];
      const rest = tail === undefined ? '' : ` -- ${tail}`;
      const printed = await kubectl.run(`create ${head} --dry-run=client -o json${rest}`);
      const created = await kubectl.run(`create ${head} -o json${rest}`);
      t.equal(created.code, 0, `${command}: ${created.stderr}`);
      t.same(missing(JSON.parse(printed.stdout), JSON.parse(created.stdout)), [], command);
    }
    t.equal((await kubectl.run('create job from --from=cronjob/cj')).stdout, 'job.batch/from created\n');
    t.match((await kubectl.run('create token sa')).stdout, /^[\w-]+\.[\w-]+\.[\w-]+$/);
    t.equal((await kubectl.run('auth can-i create pods')).stdout, 'yes\n');
  });

  t.test('what is not served is not found', async (t) => {
    const { kubectl } = await Kubectl.ofApi(t);
    const { stderr, code } = await kubectl.run('create ingress in --rule=foo.com/*=svc1:80');
    t.equal(
      `${code} ${stderr}`,
      '1 error: failed to create ingress: the server could not find the requested resource\n',
    );
  });
}
