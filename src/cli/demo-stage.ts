// The stage of the demo: runs commands in Pods, shows them as a user would type them, and insists on what they print.
import { Writable } from 'node:stream';
import { SERVICES } from '../api/resources.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { podName } from '../cluster/object-name.ts';
import { table } from './table.ts';

const UNTIL_LIMIT_MS = 60_000;

export class DemoStage {
  readonly cluster: Cluster;
  readonly say: (line: string) => void;
  /** Checks that held so far. */
  steps = 0;

  constructor(cluster: Cluster, say: (line: string) => void) {
    this.cluster = cluster;
    this.say = say;
  }

  heading(text: string): void {
    this.say('');
    this.say(`## ${text}`);
  }

  check(holds: boolean, complaint: string): void {
    if (!holds) throw new Error(complaint);
    this.steps++;
  }

  /** Runs a command, shows it and its output, and checks both exit code and output. Returns the output. */
  async exec(pod: string, argv: readonly string[], expected: RegExp, expectedCode = 0): Promise<string> {
    this.say(`$ podwire exec ${pod} -- ${argv.join(' ')}`);
    const { code, output } = await this.#run(pod, argv);
    this.say(output.trimEnd());
    this.check(
      code === expectedCode && expected.test(output),
      `exit code ${code}, and expected output like ${expected}`,
    );
    return output;
  }

  /** Fetches `url` again and again and shows how often each Pod answered; all `pods` of them must. */
  async distribution(pod: string, url: string, requests: number, pods: number): Promise<void> {
    this.say(
      `$ for i in $(seq ${requests}); do podwire exec ${pod} -- curl -s ${url}; done | grep Hostname | sort | uniq -c`,
    );
    const counts = new Map<string, number>();
    for (let i = 0; i < requests; i++) {
      const { output } = await this.#run(pod, ['curl', '-s', url]);
      const host = /Hostname: (\S+)/.exec(output)?.[1] ?? `no answer: ${output.trim()}`;
      counts.set(host, (counts.get(host) ?? 0) + 1);
    }
    for (const [host, count] of [...counts].sort()) this.say(`${String(count).padStart(7)} Hostname: ${host}`);
    this.check(counts.size === pods, `${requests} connections reached ${counts.size} of ${pods} Pods`);
  }

  async until(what: string, done: () => Promise<boolean>): Promise<void> {
    const end = Date.now() + UNTIL_LIMIT_MS;
    while (!(await done())) {
      if (Date.now() > end) throw new Error(`waited ${UNTIL_LIMIT_MS / 1000} s for: ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  async services(): Promise<void> {
    const { items } = await this.cluster.client.list(SERVICES);
    this.say(
      table(
        ['NAMESPACE', 'NAME', 'TYPE', 'CLUSTER-IP', 'PORT(S)'],
        items.map(({ metadata, spec }) => [
          metadata.namespace!,
          metadata.name,
          spec.type ?? '',
          spec.clusterIP ?? '',
          (spec.ports ?? []).map((p) => `${p.port}${p.nodePort ? `:${p.nodePort}` : ''}/${p.protocol}`).join(','),
        ]),
      ).trimEnd(),
    );
  }

  async #run(pod: string, argv: readonly string[]): Promise<{ code: number; output: string }> {
    const [namespace, name] = podName(pod);
    const node = await this.cluster.nodeOf(namespace, name);
    let output = '';
    const screen = (): Writable =>
      new Writable({
        write: (chunk: Buffer, _encoding, done) => {
          output += chunk.toString();
          done();
        },
      });
    const session = node.exec(
      { namespace, pod: name, argv, tty: false },
      { stdin: null, stdout: screen(), stderr: screen() },
    );
    return { code: await session.exit, output };
  }
}
