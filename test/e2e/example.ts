// What the service-discovery example must do, whatever its Pods run on. Each runtime's test plays it.
import type { Test } from 'tap';
import type { ProxyMode } from '../../src/proxy/config.ts';
import { eventually, type Podwire } from '../support/podwire.ts';

interface Status {
  pods: { metadata: { name: string; namespace: string }; status?: { podIP?: string } }[];
  services: {
    metadata: { name: string; namespace: string };
    spec: { clusterIP: string; ports: { nodePort?: number }[] };
  }[];
  nodes: { drops: Record<string, number> }[];
}

export async function status(podwire: Podwire): Promise<Status> {
  return JSON.parse((await podwire.run('status', '-o', 'json')).stdout) as Status;
}

/** The gateway's answer where nothing has the address; IPVS' own (KUBE-IPVS-FILTER, kubernetes PR 108460); nftables' cluster-ips-check. */
const PING_OF_CLUSTER_IP: Readonly<Record<ProxyMode, RegExp>> = {
  ipvs: /From 10\.96\.0\.10 icmp_seq=1 Destination Port Unreachable/,
  iptables: /From 192\.168\.49\.1 icmp_seq=1 Destination Net Unreachable/,
  nftables: /From 10\.244\.0\.1 icmp_seq=1 Destination (Net|Port) Unreachable/,
};

const RULES: Readonly<Record<ProxyMode, RegExp>> = {
  ipvs: /-A -t 10\.96\.0\.1:443 -s rr/,
  iptables:
    /-A KUBE-SERVICES -d 10\.96\.0\.1\/32 -p tcp -m comment --comment "default\/kubernetes:https cluster IP" -m tcp --dport 443 -j KUBE-SVC-NPX46M4PTMTKRN6Y/,
  nftables: /10\.96\.0\.1 \. tcp \. 443 : goto service-/,
};

/** Plays the seed's steps against a cluster that runs examples/sd-example.yml, in a proxy mode. */
export async function playExample(t: Test, podwire: Podwire, mode: ProxyMode = 'ipvs'): Promise<void> {
  const curl = async (pod: string, url: string): Promise<string> =>
    (await podwire.exec(pod, 'curl', '-sS', '--max-time', '60', url)).stdout;

  t.equal(
    (await podwire.exec('dev/jump', 'cat', '/etc/resolv.conf')).stdout,
    'nameserver 10.96.0.10\nsearch dev.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n',
    'resolv.conf of the seed',
  );
  t.equal((await podwire.exec('dev/jump', 'hostname')).stdout, 'jump\n');

  const answers = [];
  // Dice, where the mode rolls them, leave one Pod out of 12 once in 2,048 times.
  for (let i = 0; i < (mode === 'ipvs' ? 4 : 12); i++) answers.push(await curl('dev/jump', 'ent:8080'));
  for (const answer of answers)
    t.match(answer, /^Hello form the DEV Namespace!\nHostname: enterprise-[4-9bcdf]+-[b-z2-9]{5}\n$/);
  t.equal(new Set(answers).size, 2, 'both Pods answer');
  if (mode === 'ipvs') t.equal(answers[0], answers[2], 'round robin');

  t.match(await curl('dev/jump', 'ent.prod.svc.cluster.local:8080'), /^Hello form the PROD Namespace!\n/);
  const { pods, services } = await status(podwire);
  const prod = pods.find((p) => p.metadata.namespace === 'prod')!;
  const short = await podwire.exec(`prod/${prod.metadata.name}`, 'curl', '-sS', 'manchester');
  t.same(
    [short.code, short.stderr],
    [6, 'curl: (6) Could not resolve host: manchester\n'],
    'the short name of another namespace',
  );

  const clusterIP = services.find((s) => s.metadata.name === 'manchester')!.spec.clusterIP;
  const refused = await podwire.exec('dev/jump', 'curl', '-sS', `http://${clusterIP}`);
  t.equal(refused.code, 7, 'a ClusterIP without endpoints refuses');
  t.match(refused.stderr, /Failed to connect|Connection refused/);
  t.match(String(services.find((s) => s.metadata.name === 'manchester')!.spec.ports[0]!.nodePort), /^3[0-2]\d{3}$/);

  const lookup = await podwire.exec('dev/jump', 'nslookup', 'kubernetes.default');
  t.match(
    lookup.stdout,
    /Server:\s+10\.96\.0\.10\nAddress:\s+10\.96\.0\.10#53\n\nName:\s+kubernetes\.default\.svc\.cluster\.local\nAddress:\s+10\.96\.0\.1\n/,
  );
  t.match(
    (await podwire.exec('dev/jump', 'dig', '+short', 'ent.dev.svc.cluster.local')).stdout,
    /^10\.\d+\.\d+\.\d+\n$/,
  );
  t.match(
    (await podwire.exec('dev/jump', 'dig', '+short', '+tcp', 'kubernetes.default.svc.cluster.local')).stdout,
    /^10\.96\.0\.1\n$/,
    'over TCP',
  );

  const other = pods.find((p) => p.metadata.namespace === 'prod')!.status!.podIP!;
  t.match(
    (await podwire.exec('dev/jump', 'ping', '-c', '2', '-i', '0.2', other)).stdout,
    /2 packets transmitted, 2 received, 0% packet loss/,
  );
  t.match(
    (await podwire.exec('dev/jump', 'ping', '-c', '1', '-W', '1', '10.96.0.10')).stdout,
    PING_OF_CLUSTER_IP[mode],
    'a ClusterIP answers no ping',
  );
  const route = await podwire.exec('dev/jump', 'traceroute', '-n', '-q', '1', '-w', '2', other);
  t.match(
    route.stdout,
    new RegExp(`\\n 1  10\\.244\\.0\\.1 .*\\n 2  ${other.replaceAll('.', '\\.')} `),
    'the gateway, then the Pod',
  );

  const trace = JSON.parse(
    (await podwire.run('trace', '--pod', 'dev/jump', '--to', 'ent:8080', '-o', 'json')).stdout,
  ) as {
    verdict: string;
    endpoints: { probability: number }[];
  };
  t.equal(trace.verdict, 'DNAT');
  t.same(
    trace.endpoints.map((e) => e.probability),
    [0.5, 0.5],
  );
  t.match((await podwire.run('rules')).stdout, RULES[mode]);

  const before = (await status(podwire)).pods.find(
    (p) => p.metadata.name.startsWith('enterprise') && p.metadata.namespace === 'dev',
  )!;
  t.ok(before, 'there is a Pod to talk to itself');
  const self = `dev/${before.metadata.name}`;
  for (let i = 0; i < (mode === 'ipvs' ? 2 : 8); i++)
    t.match(
      await curl(self, 'ent:8080'),
      'Hello form the DEV Namespace!',
      'hairpin: one of these two comes back to the sender',
    );
}

/** `podwire down` ends everything. */
export async function playDown(t: Test, podwire: Podwire): Promise<void> {
  t.match((await podwire.run('down')).stdout, 'the cluster is down');
  await eventually('nothing is left', () => podwire.leftovers().length === 0).catch(() => {});
  t.same(podwire.leftovers(), [], 'nothing is left');
  const after = await podwire.run('status');
  t.same([after.code, after.stderr], [1, 'podwire: no cluster is running; start one with `podwire up`\n']);
}
