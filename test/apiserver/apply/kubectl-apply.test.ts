// The real kubectl applies on the server: creation, conflict, force, the move from client-side apply, dry run.
import t from 'tap';
import { Kubectl, needsKubectl } from '../../support/kubectl.ts';

const manifest = (replicas: number, image = 'nginx'): string => `apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: ${replicas}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: c, image: ${image}, ports: [{containerPort: 80}]}]
`;

if (needsKubectl(t)) {
  t.test('kubectl apply --server-side', async (t) => {
    const { kubectl } = await Kubectl.ofApi(t);
    const apply = async (text: string, ...flags: string[]): Promise<string> => {
      const { stdout, stderr, code } = await kubectl.args(['apply', '--server-side', '-f', '-', ...flags], text);
      return `${code} ${stdout}${stderr}`;
    };
    t.equal(await apply(manifest(1)), '0 deployment.apps/web serverside-applied\n');
    t.equal(
      await apply(manifest(1), '--dry-run=server'),
      '0 deployment.apps/web serverside-applied (server dry run)\n',
    );
    await kubectl.run('patch deployment web --field-manager=hpa -p {"spec":{"replicas":3}}');
    t.match(
      await apply(manifest(1)),
      /^1 error: Apply failed with 1 conflict: conflict with "hpa" using apps\/v1: \.spec\.replicas\n/,
    );
    t.equal(await apply(manifest(2), '--force-conflicts'), '0 deployment.apps/web serverside-applied\n');
    const shown = await kubectl.run('get deployment web -o yaml --show-managed-fields');
    t.match(shown.stdout, /k:\{"containerPort":80,"protocol":"TCP"\}:\n +\.: \{\}\n +f:containerPort: \{\}\n/);
    t.notMatch((await kubectl.run('get deployment web -o yaml')).stdout, /managedFields/);
    t.match(await apply(manifest(1).replace('image:', 'imago:')), /\.imago: field not declared in schema\n$/);
  });

  t.test('from client-side apply to server-side apply without a conflict', async (t) => {
    const { kubectl } = await Kubectl.ofApi(t);
    t.equal((await kubectl.args(['apply', '-f', '-'], manifest(1))).stdout, 'deployment.apps/web created\n');
    const moved = await kubectl.args(['apply', '--server-side', '-f', '-'], manifest(2, 'busybox'));
    t.equal(moved.stdout, 'deployment.apps/web serverside-applied\n', moved.stderr);
    const managers = await kubectl.run(
      'get deployment web --show-managed-fields -o jsonpath={.metadata.managedFields[*].manager}',
    );
    t.equal(managers.stdout, 'kubectl kubectl-last-applied');
    const last = await kubectl.run('apply view-last-applied deployment web -o json');
    t.match(JSON.parse(last.stdout), { spec: { replicas: 2 } }, 'the annotation follows');
    const scale = await kubectl.run('get deployment web --subresource=scale');
    t.match(scale.stdout, /^NAME +DESIRED +AVAILABLE +AGE\nweb +2 +0 +[\dhms]+\n$/);
    const back = await kubectl.args(['apply', '-f', '-'], manifest(2, 'busybox'));
    t.match(back.stdout, /^deployment.apps\/web (configured|unchanged)\n$/, back.stderr);
  });
}
