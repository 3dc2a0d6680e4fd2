// Upstream's packet-flow tables, each through the command that a user runs, and nothing else.
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import type { TraceAnswer } from '../../src/kernel/what-if/types.ts';
import { type FlowRun, flowRuns, SAMPLE } from '../support/flow-groups.ts';

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

for (const flowRun of flowRuns(SAMPLE)) {
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

t.test('a question that cannot be answered keeps its place in the list', async (t) => {
  const [first] = flowRuns(SAMPLE);
  const six = { name: 'six', from: 'fd00:10::2', to: '[fd00::1]', protocol: 'tcp' };
  const paths = files(t.testdir(), { objects: first!.objects, flows: [six, first!.flows[1]!] });
  const { code, stdout, stderr } = await trace('-f', paths.objects, '--flows', paths.flows, '-o', 'json');
  t.equal(code, 1);
  t.match(JSON.parse(stdout), [{ error: /expected HOST:PORT/ }, { verdict: 'DNAT' }]);
  t.equal(stderr, 'six: [fd00::1]: expected HOST:PORT\n');
});
