// Upstream's packet-flow tables, each through the command that a user runs, and nothing else.
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import type { TraceAnswer } from '../../src/kernel/what-if/types.ts';
import { FIXTURES, type FlowRun, flowRuns, MORE, SAMPLE } from '../support/flow-groups.ts';

t.setTimeout(0); // a loaded machine takes long over it; the runner has its own limit

const PODWIRE = join(import.meta.dirname, '../../src/cli/podwire.js');
const run = promisify(execFile);

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function trace(...args: string[]): Promise<Outcome> {
  try {
    return { code: 0, ...(await run(process.execPath, [PODWIRE, 'trace', ...args])) };
  } catch (error) {
    const { code, stdout, stderr } = error as Outcome;
    return { code, stdout, stderr };
  }
}

function files(
  dir: string,
  { objects, flows }: Pick<FlowRun, 'objects' | 'flows'>,
): { objects: string; flows: string } {
  const paths = { objects: join(dir, 'objects.json'), flows: join(dir, 'flows.json') };
  writeFileSync(paths.objects, JSON.stringify(objects));
  writeFileSync(paths.flows, JSON.stringify(flows));
  return paths;
}

/** All of the others are asked in process (test/cluster/offline/flows.test.ts). */
const more = flowRuns(MORE).filter(({ name }) => /phase|dual-stack|none-6/.test(name));

for (const flowRun of [...flowRuns(SAMPLE), ...more]) {
  t.test(`${flowRun.mode}: ${flowRun.name}`, async (t) => {
    const paths = files(t.testdir(), flowRun);
    const args = ['-f', paths.objects, '--proxy-mode', flowRun.mode, '--flows', paths.flows, '-o', 'json'];
    const { code, stdout, stderr } = await trace(...args);
    t.equal(stderr, '', 'no difference');
    t.equal(code, 0);
    const answers = JSON.parse(stdout) as TraceAnswer[];
    t.equal(answers.length, flowRun.flows.length);
    answers.forEach((answer, i) => {
      const { name, expect } = flowRun.flows[i] as { name: string; expect: { verdict: string } };
      t.equal(answer.verdict, expect.verdict, name);
      const sum = answer.endpoints.reduce((total, e) => total + e.probability, 0);
      if (answer.verdict === 'DNAT') t.ok(Math.abs(sum - 1) < 1e-6, `probabilities sum up: ${sum}`);
    });
  });
}

t.test('what is expected and does not hold is told, and the exit code is 1', async (t) => {
  const [first] = flowRuns(SAMPLE);
  const flows = first!.flows.map((flow) => ({ ...flow, expect: { verdict: 'DNAT', endpoints: ['10.180.0.1:80'] } }));
  const paths = files(t.testdir(), { objects: first!.objects, flows });
  const { code, stdout, stderr } = await trace('-f', paths.objects, '--flows', paths.flows, '-o', 'json');
  t.equal(code, 1);
  t.equal((JSON.parse(stdout) as unknown[]).length, flows.length, 'all are answered');
  t.match(stderr, /^no match: verdict NONE, expected DNAT/m);
  t.match(stderr, /^multiple endpoints: endpoints 10\.180\.0\.4:80 10\.180\.0\.5:80, expected 10\.180\.0\.1:80$/m);
  t.notMatch(stderr, /single endpoint/, 'what holds is not mentioned');
});

t.test('all modes side by side: differences are marked, known ones named', async (t) => {
  const etpLocal = flowRuns(SAMPLE).find((r) => r.name === 'overall')!;
  const paths = files(t.testdir(), etpLocal);
  const args = ['-f', paths.objects, '--proxy-mode', 'all', '--from', '203.0.113.2', '--to', '192.168.99.22:80'];
  const text = await trace(...args);
  t.match(text.stdout, /^ +iptables +ipvs +nftables$/m);
  t.match(text.stdout, /^\* verdict +DROP +DNAT +DROP$/m);
  t.match(text.stdout, /^\* known upstream: IPVS mode sends to any endpoint when a Local policy has no local one/m);
  const json = JSON.parse((await trace(...args, '-o', 'json')).stdout);
  t.match(json, {
    ipvs: { verdict: 'DNAT' },
    iptables: { verdict: 'DROP' },
    nftables: { verdict: 'DROP' },
    differences: [{ field: 'verdict', values: { ipvs: 'DNAT' } }, { field: 'endpoints' }],
  });
});

t.test("upstream's own rows are taken as they are: source, dest and port, and what differs by mode", async (t) => {
  const [first] = flowRuns(SAMPLE);
  const { groups } = JSON.parse(readFileSync(join(FIXTURES, SAMPLE), 'utf8')) as {
    groups: { id: string; flows: Record<string, unknown>[] }[];
  };
  const flows = groups.find(({ id }) => id === 'overall')!.flows;
  t.ok(flows.some((flow) => 'expectByMode' in flow));
  const paths = files(t.testdir(), { objects: first!.objects, flows });
  const asked = (mode: string, file = paths.flows): Promise<Outcome> =>
    trace('-f', paths.objects, '--proxy-mode', mode, '--flows', file, '-o', 'json');
  t.match(await asked('iptables'), { code: 0, stderr: '' });
  t.match(await asked('nftables'), { code: 0, stderr: '' });
  const all = await asked('all');
  t.equal(all.code, 1);
  t.match(all.stderr, /^external to externalIP .*: ipvs: verdict DNAT, expected DROP/m);
  t.notMatch(all.stderr, /nftables: |iptables: /);
});

t.test('an expectation that cannot be read does not hold; of one that is not known one is told', async (t) => {
  const [first] = flowRuns(SAMPLE);
  const flow = (name: string, more: object): Record<string, unknown> => {
    return { name, from: '10.0.0.2', to: '172.30.0.41:80', ...more };
  };
  const flows = [
    flow('verdict', { expect: { verdict: 'DNATED' } }),
    flow('list', { expect: ['DNAT'] }),
    flow('endpoints', { expect: { endpoints: [null] } }),
    flow('masquerade', { expectByMode: { iptables: { masquerade: 'no' } } }),
    flow('mode', { expectByMode: 'iptables' }),
    flow('nulls', { expect: { verdict: null, endpoints: null, masquerade: null }, expectByMode: null }),
    flow('misspelt', { expect: { endpoint: [] }, expectByMode: { userspace: {}, ipvs: { masq: true } } }),
  ];
  const paths = files(t.testdir(), { objects: first!.objects, flows });
  const args = ['-f', paths.objects, '--proxy-mode', 'iptables', '--flows', paths.flows, '-o', 'json'];
  const { code, stdout, stderr } = await trace(...args);
  t.equal(code, 1);
  t.equal((JSON.parse(stdout) as unknown[]).length, flows.length);
  const warning = `podwire: warning: ${paths.flows}: misspelt: `;
  t.same(stderr.trim().split('\n'), [
    `${warning}expect.endpoint is not known, and not compared`,
    `${warning}expectByMode.userspace is not known, and not compared`,
    `${warning}expectByMode.ipvs.masq is not known, and not compared`,
    'verdict: expect.verdict: expected DNAT, NONE, REJECT, DROP, ACCEPT, LOCAL, not DNATED',
    'list: expect: expected an object',
    'endpoints: expect.endpoints: expected ADDRESS:PORT, or an object with address and port',
    'masquerade: expectByMode.iptables.masquerade: expected true or false',
    'mode: expectByMode: expected an object',
  ]);
  for (const text of ['', 'x: 1', '[{']) {
    writeFileSync(paths.flows, text);
    const { code, stderr } = await trace(...args);
    t.equal(code, 1);
    t.ok(stderr.startsWith(`podwire: ${paths.flows}:1:`), stderr);
    t.equal(stderr.split('\n').length, 2, 'one line');
  }
  t.match(await trace(...args, '--from', '10.0.0.2'), { code: 2, stderr: /not with --pod, --from or --to/ });
});

t.test('a question that cannot be answered keeps its place in the list', async (t) => {
  const [first] = flowRuns(SAMPLE);
  const six = { name: 'six', from: 'fd00:10::2', to: '[fd00::1]', protocol: 'tcp' };
  const bad: unknown[] = [{ name: 'nobody', to: '172.30.0.41:80' }, 'text', { from: '10.0.0.2', to: {} }];
  const flows = [six, first!.flows[1]!, ...bad] as Record<string, unknown>[];
  const paths = files(t.testdir(), { objects: first!.objects, flows });
  const { code, stdout, stderr } = await trace('-f', paths.objects, '--flows', paths.flows, '-o', 'json');
  t.equal(code, 1);
  t.match(JSON.parse(stdout), [
    { error: /expected HOST:PORT/ },
    { verdict: 'DNAT' },
    { error: 'from: expected a text' },
  ]);
  t.equal(
    stderr,
    [
      'six: [fd00::1]: expected HOST:PORT',
      'nobody: from: expected a text',
      'flow 4: expected an object',
      'flow 5: to: expected a text',
      '',
    ].join('\n'),
  );
});

t.test('objects in lists and several files, flows in the forms that people write', async (t) => {
  const dir = t.testdir({
    'service.yml': `
apiVersion: v1
kind: Service
metadata: {name: web, namespace: ns}
spec: {clusterIP: 172.30.0.41, ports: [{name: p, port: 80}, {name: u, port: 53, protocol: UDP}]}
---
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Service
  metadata: {name: six, namespace: ns}
  spec: {clusterIP: "fd00:10:96::41", ipFamilies: [IPv6], ports: [{name: p, port: 80}]}
- apiVersion: discovery.k8s.io/v1
  kind: EndpointSlice
  metadata: {name: six-1, namespace: ns, labels: {kubernetes.io/service-name: six}}
  addressType: IPv6
  endpoints: [{addresses: ["fd00:10:244::1"]}]
  ports: [{name: p, port: 80}]
`,
    'slices.yml': `
apiVersion: discovery.k8s.io/v1
kind: EndpointSliceList
items:
- metadata: {name: web-1, namespace: ns, labels: {kubernetes.io/service-name: web}}
  addressType: IPv4
  endpoints: [{addresses: [10.244.0.2]}, {addresses: [10.244.0.1], conditions: {}}]
  ports: [{name: p, port: 80}, {name: u, port: 53, protocol: UDP}]
`,
    'flows.yml': `
- {from: 10.244.0.9, to: "172.30.0.41:80", protocol: TCP, expect: {verdict: dnat, endpoints: ["10.244.0.2:80", "10.244.0.1:80"]}}
- {source: 10.244.0.9, dest: 172.30.0.41, port: 53, protocol: UDP, expect: {endpoints: [{address: 10.244.0.1, port: 53}, {address: 10.244.0.2, port: "53"}]}}
- {from: "10.244.0.9:4000", to: 172.30.0.41, port: "80", expect: {verdict: DNAT, masquerade: false}}
- {from: 10.244.0.9, to: "web.ns.svc.cluster.local:80", expect: {verdict: DNAT}}
- {from: "fd00:10::2", to: "[fd00:10:96::41]:80", expect: {verdict: DNAT, endpoints: ["[fd00:10:244::1]:80"]}}
- {from: "[fd00:10::2]", to: "fd00:10:96::41:80", expect: {verdict: DNAT, endpoints: ["fd00:10:244::1:80"]}}
- {from: "fd00:10::2", to: "fd00:10:96::41", port: 80, expect: {verdict: DNAT}}
`,
  });
  const path = (name: string): string => join(dir, name);
  const objects = ['-f', path('service.yml'), '-f', path('slices.yml')];
  for (const mode of ['iptables', 'ipvs', 'nftables', 'all']) {
    const { code, stderr } = await trace(...objects, '--proxy-mode', mode, '--flows', path('flows.yml'), '-o', 'json');
    t.equal(stderr, '', mode);
    t.equal(code, 0);
  }
});
