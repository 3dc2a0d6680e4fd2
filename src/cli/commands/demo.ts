// podwire demo: the service-discovery example from end to end. Every step is a real command in a Pod, shown with its output
// and checked; the first that is not as it must be ends the demo with exit code 1.
import { fileURLToPath } from 'node:url';
import { parseManifests } from '../../api/manifest.ts';
import { DEPLOYMENTS, PODS, SERVICES } from '../../api/resources.ts';
import type { RuntimeHandler } from '../../cluster/settings.ts';
import { resolveQuestion } from '../../cluster/trace-question.ts';
import { formatTrace } from '../../kernel/what-if/text.ts';
import { captureToFile, openCapture } from '../capture-file.ts';
import { CliError } from '../cli-error.ts';
import { DemoStage } from '../demo-stage.ts';
import { launch, podsReady, type Running, readManifests, stopOnSignals } from '../launch.ts';
import { progressLine } from './up.ts';

const EXAMPLE = fileURLToPath(new URL('../../../../examples/sd-example.yml', import.meta.url));
const READY_LIMIT_MS = 60_000;

// A Pod to look around from, as `kubectl run -it dnsutils --image ...` makes it.
const DNSUTILS = `
apiVersion: v1
kind: Pod
metadata: {name: dnsutils, namespace: default, labels: {run: dnsutils}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: dnsutils, image: 'gcr.io/kubernetes-e2e-test-images/dnsutils:1.3', stdin: true, tty: true}
`;

export async function demo(options: { runtime: 'auto' | RuntimeHandler; capture: string }): Promise<void> {
  const say = (line: string): void => void process.stdout.write(`${line}\n`);
  const manifests = readManifests([EXAMPLE]);
  const captureFd = openCapture(options.capture);
  say('Starting a cluster: one Node, cluster DNS, controllers. Pods come next.');
  let starting: Promise<Running> | undefined;
  let stopCapture = async (): Promise<void> => {};
  stopOnSignals(async () => {
    await stopCapture();
    await (await starting)?.stop();
  });
  starting = launch({ nodes: 1, runtime: options.runtime, offload: true }, say);
  const running = await starting;
  try {
    stopCapture = await captureToFile(running.cluster, captureFd);
    const stage = new DemoStage(running.cluster, say);
    await play(stage, manifests);
    await stopCapture();
    stopCapture = async () => {};
    stage.heading('The packets');
    say(
      `Every packet of this demo is in ${options.capture}: one interface a Pod, names included. Open it in Wireshark, or:`,
    );
    say(`  tshark -r ${options.capture} -Y 'tcp.flags.syn == 1' | head`);
    say('');
    say(`All ${stage.steps} steps went as they must. To look around yourself: podwire up -f examples/sd-example.yml`);
  } catch (error) {
    await stopCapture();
    throw error instanceof Error ? new CliError(`demo: ${error.message}`, { cause: error }) : error;
  } finally {
    await running.stop();
  }
}

async function play(stage: DemoStage, manifests: ReturnType<typeof readManifests>): Promise<void> {
  const { cluster, say } = stage;
  const { client } = cluster;
  const allReady = (): Promise<void> => podsReady(cluster, READY_LIMIT_MS, progressLine());

  stage.heading('Service registration: apply the example');
  say('$ podwire up -f examples/sd-example.yml');
  await cluster.apply(manifests, say);
  await cluster.apply(parseManifests(DNSUTILS, 'dnsutils.yml'), say);
  await allReady();
  await stage.services();

  stage.heading("Service discovery: what every Pod knows of the cluster's DNS");
  await stage.exec(
    'dev/jump',
    ['cat', '/etc/resolv.conf'],
    /^nameserver 10\.96\.0\.10\nsearch dev\.svc\.cluster\.local svc\.cluster\.local cluster\.local\noptions ndots:5\n$/,
  );

  stage.heading('A short name finds the Service of the same Namespace, and the Node spreads connections over its Pods');
  const greeters = new Set<string>();
  for (let i = 0; i < 4; i++) {
    const out = await stage.exec(
      'dev/jump',
      ['curl', '-s', 'ent:8080'],
      /^Hello form the DEV Namespace!\nHostname: enterprise-\w+-\w{5}\n$/,
    );
    greeters.add(out);
  }
  stage.check(greeters.size === 2, `4 connections reached ${greeters.size} of 2 Pods`);

  stage.heading('The Service of another Namespace needs its full name');
  await stage.exec(
    'dev/jump',
    ['curl', '-s', 'ent.prod.svc.cluster.local:8080'],
    /^Hello form the PROD Namespace!\nHostname: enterprise-/,
  );
  say('Its short name is not known there: Service manchester lives in dev, and this Pod in prod.');
  const [prodPod] = (await client.list(PODS, { namespace: 'prod' })).items;
  await stage.exec(
    `prod/${prodPod?.metadata.name}`,
    ['curl', '-sS', 'manchester'],
    /Could not resolve host: manchester/,
    6,
  );

  stage.heading('The API server is a Service, too');
  await stage.exec(
    'default/dnsutils',
    ['nslookup', 'kubernetes'],
    /Address:\s+10\.96\.0\.10#53[\s\S]*Name:\s+kubernetes\.default\.svc\.cluster\.local\nAddress:\s+10\.96\.0\.1\n/,
  );

  stage.heading('The DNS Pods are deleted; their Deployment makes new ones, and names resolve again');
  const old = (await client.list(PODS, { namespace: 'kube-system', labelSelector: 'k8s-app=kube-dns' })).items;
  for (const pod of old) {
    await client.delete(PODS, 'kube-system', pod.metadata.name);
    say(`pod "${pod.metadata.name}" deleted`);
  }
  await stage.until('the deleted Pods are gone', async () => {
    const now = (await client.list(PODS, { namespace: 'kube-system', labelSelector: 'k8s-app=kube-dns' })).items;
    return now.length === old.length && now.every((p) => !old.some((o) => o.metadata.uid === p.metadata.uid));
  });
  await allReady();
  await stage.exec('dev/jump', ['curl', '-s', 'ent:8080'], /^Hello form the DEV Namespace!/);

  stage.heading('Scaling: 2 to 5 to 1');
  for (const replicas of [5, 1]) {
    await client.patch(DEPLOYMENTS, 'dev', 'enterprise', 'merge', { spec: { replicas } });
    say(`deployment.apps/enterprise scaled to ${replicas}`);
    await stage.until(`${replicas} Pods`, async () => {
      const pods = (await client.list(PODS, { namespace: 'dev', labelSelector: 'app=enterprise' })).items;
      return pods.length === replicas;
    });
    await allReady();
    await stage.distribution('dev/jump', 'ent:8080', replicas * 4, replicas);
  }

  stage.heading("One packet's way, explained");
  say('$ podwire trace --pod dev/jump --to ent:8080');
  const asked = await resolveQuestion(cluster, { pod: 'dev/jump', to: 'ent:8080', protocol: 'tcp' });
  const answer = await asked.node.trace(asked.question);
  say(formatTrace(answer).trimEnd());
  stage.check(answer.verdict === 'DNAT', `the trace says ${answer.verdict}`);
  const service = await client.get(SERVICES, 'dev', 'ent');
  say(`(${service.spec.clusterIP} is no machine's address: the trap carries it.)`);
}
