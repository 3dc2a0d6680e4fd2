// One container of a Pod through its life: image, start, exit, restart. After pkg/kubelet/kuberuntime.
//
//   waiting(ContainerCreating) → running → terminated → [waiting(CrashLoopBackOff)] → running ...
//   waiting(ErrImagePull ⇄ ImagePullBackOff) while the catalog does not know the image
//   waiting(CreateContainerConfigError) while a ConfigMap or Secret of its environment is missing
//
// State changes are told to the Pod's worker, which reports them to the API.
import { createHash } from 'node:crypto';
import { PassThrough } from 'node:stream';
import type { Container, ContainerState, ContainerStatus, LifecycleHandler, Pod } from '../../api/core-v1.ts';
import { formatTime } from '../../api/time.ts';
import type { Clock, Timer } from '../../lib/clock.ts';
import { ContainerLog } from '../container-log.ts';
import type { ImageCatalog } from '../images.ts';
import type { ExitStatus, ProcessIo, RunningProcess, Sandbox } from '../runtime/runtime.ts';
import { Backoff } from './backoff.ts';
import { ConfigError, expand } from './environment.ts';

const CONFIG_RETRY_MS = 5000;
/** A container has at least this long to end after its preStop hook (minimumGracePeriodInSeconds). */
const AFTER_HOOK_MS = 2000;

export interface ContainerEnv {
  readonly pod: Pod;
  readonly spec: Container;
  readonly sandbox: Sandbox;
  readonly images: ImageCatalog;
  readonly clock: Clock;
  /** What it runs with, given the image's own variables. Rejects with ConfigError while something is missing. */
  readonly environment: (imageEnv: Readonly<Record<string, string>>) => Promise<Record<string, string>>;
  /** Does what a lifecycle handler says. */
  readonly hook: (handler: LifecycleHandler) => Promise<void>;
  /** How long it may take to end. */
  readonly graceMs: number;
  /** Always: Deployments. OnFailure and init containers: until it succeeds. Never: once. */
  readonly restart: 'Always' | 'OnFailure' | 'Never';
  readonly event: (type: 'Normal' | 'Warning', reason: string, message: string) => void;
  /** What the API knows of an earlier life of the container, on a Node that was started again. */
  readonly before: ContainerStatus | undefined;
  /** It runs again in a new sandbox however it ended before: init containers, where the Pod is started again at all. */
  readonly rerun: boolean;
  /** Something in status() changed. */
  readonly changed: () => void;
}

export class ContainerRunner {
  readonly name: string;
  readonly spec: Container;
  log: ContainerLog;
  /** The run before this one, for `logs --previous`. */
  previousLog: ContainerLog | null = null;
  /** Set by the probes; true when the container has none. */
  ready = false;
  started = false;
  state: ContainerState = { waiting: { reason: 'ContainerCreating' } };
  restartCount = 0;
  /** Of the present run; what `exec` starts from. */
  environment: Readonly<Record<string, string>> = {};
  readonly #env: ContainerEnv;
  readonly #backoff = new Backoff();
  readonly #imageBackoff = new Backoff();
  #lastState: ContainerState = {};
  #process: RunningProcess | null = null;
  #stdin: PassThrough | null = null;
  #timer: Timer | null = null;
  #wake: (() => void) | null = null;
  #stopping = false;
  #containerID = '';

  constructor(env: ContainerEnv) {
    this.#env = env;
    this.spec = env.spec;
    this.name = env.spec.name;
    this.log = new ContainerLog(env.clock);
    const { before, clock } = env;
    if (!before?.containerID) return;
    const terminated = before.state?.terminated ?? {
      exitCode: 255,
      reason: 'Unknown',
      ...(before.state?.running?.startedAt ? { startedAt: before.state.running.startedAt } : {}),
      finishedAt: formatTime(clock.unixMs()),
      containerID: before.containerID,
    };
    if (env.rerun || this.#restarts(terminated.exitCode)) {
      this.restartCount = before.restartCount + 1;
      this.#lastState = { terminated };
      return;
    }
    this.restartCount = before.restartCount;
    this.#containerID = before.containerID;
    this.state = { terminated };
  }

  /** Whether it has ended for good, and how. */
  get finished(): { code: number } | undefined {
    const ended = this.state.terminated;
    if (!ended || this.#restarts(ended.exitCode)) return undefined;
    return { code: ended.exitCode };
  }

  get running(): boolean {
    return this.#process !== null;
  }

  /** Runs it, and again as the policy says, until it has ended for good or stop() was called. Never rejects. */
  async run(): Promise<void> {
    while (!this.#stopping && !this.finished) {
      const argv = await this.#pull();
      if (!argv) return;
      const startedMs = this.#env.clock.unixMs();
      const code = await this.#runOnce(argv);
      if (this.#stopping || !this.#restarts(code)) return;
      const waitMs = this.#backoff.failed(this.#env.clock.unixMs() - startedMs);
      if (waitMs > 0) await this.#backOff(waitMs);
      this.restartCount++;
    }
  }

  /** SIGTERM, then SIGKILL after the grace period. Resolves when nothing of it runs any more. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping = true;
    this.#timer?.cancel();
    this.#wake?.();
    await this.kill(graceMs);
    this.#stdin?.destroy();
  }

  /** Ends the present run only: what a failed liveness probe asks for. */
  async kill(graceMs: number, why: string = `Stopping container ${this.name}`): Promise<void> {
    const process = this.#process;
    if (!process) return;
    this.#env.event('Normal', 'Killing', why);
    const leftMs = await this.#preStop(graceMs);
    process.signal('SIGTERM');
    const timer = this.#env.clock.after(leftMs * 1000, () => process.signal('SIGKILL'));
    await process.exit;
    timer.cancel();
  }

  /** Joins the present run: its output from now on, and its input if it has one. Ends with the run, or by `kill`. */
  attach({ stdin, stdout, stderr }: Pick<ProcessIo, 'stdin' | 'stdout' | 'stderr'>): RunningProcess {
    let detach = (): void => {};
    const exit = new Promise<ExitStatus>((resolve) => {
      const end = (): void => resolve({ code: 0 });
      const leave = this.log.attach((stream, chunk) => (stream === 'stdout' ? stdout : stderr).write(chunk), end);
      detach = () => {
        leave();
        end();
      };
    });
    const input = this.#stdin;
    stdin?.on('data', (chunk: Buffer) => input?.write(chunk));
    stdin?.on('end', () => {
      if (this.spec.stdinOnce) input?.end();
    });
    return { exit, signal: () => detach(), resize: (columns, rows) => this.#process?.resize(columns, rows) };
  }

  status(): ContainerStatus {
    const image = this.spec.image ?? '';
    return {
      name: this.name,
      state: this.state,
      lastState: this.#lastState,
      ready: this.ready && (this.running || this.finished?.code === 0),
      restartCount: this.restartCount,
      image,
      imageID: this.#containerID ? this.#env.images.idOf(image) : '',
      ...(this.#containerID ? { containerID: this.#containerID } : {}),
      started: this.started && this.running,
    };
  }

  /** What to run, once the catalog has the image; undefined when stopped meanwhile. */
  async #pull(): Promise<string[] | undefined> {
    const { images, spec, event } = this.#env;
    const image = spec.image ?? '';
    for (let first = true; !this.#stopping; first = false) {
      const entry = images.find(image);
      if (entry) {
        if (first) this.#tellPulled(image);
        return images.argvOf(entry, spec.command, spec.args);
      }
      if (spec.imagePullPolicy === 'Never') {
        const message = `Container image "${image}" is not present with pull policy of Never`;
        event('Warning', 'ErrImageNeverPull', message);
        event('Warning', 'Failed', 'Error: ErrImageNeverPull');
        this.#set({ waiting: { reason: 'ErrImageNeverPull', message } });
        await this.#sleep(this.#imageBackoff.refused());
        continue;
      }
      event('Normal', 'Pulling', `Pulling image "${image}"`);
      const why = `Failed to pull image "${image}": not in the image catalog; use one of ${images.names().slice(0, 6).join(', ')}..., or add it with --images FILE`;
      event('Warning', 'Failed', why);
      event('Warning', 'Failed', 'Error: ErrImagePull');
      this.#set({ waiting: { reason: 'ErrImagePull', message: why } });
      await this.#sleep(1000);
      event('Normal', 'BackOff', `Back-off pulling image "${image}"`);
      this.#set({ waiting: { reason: 'ImagePullBackOff', message: `Back-off pulling image "${image}": ${why}` } });
      await this.#sleep(this.#imageBackoff.refused());
    }
    return undefined;
  }

  /** There is nothing to fetch, but a policy of Always looks every time. */
  #tellPulled(image: string): void {
    const { spec, event, images } = this.#env;
    if (spec.imagePullPolicy !== 'Always') {
      event('Normal', 'Pulled', `Container image "${image}" already present on machine`);
      return;
    }
    event('Normal', 'Pulling', `Pulling image "${image}"`);
    const size = images.sizeOf(image);
    event(
      'Normal',
      'Pulled',
      `Successfully pulled image "${image}" in 0s (0s including waiting). Image size: ${size} bytes.`,
    );
  }

  /** undefined: stopped meanwhile. */
  async #configure(): Promise<Record<string, string> | undefined> {
    const { images, spec, event, environment } = this.#env;
    while (!this.#stopping) {
      try {
        return await environment(images.find(spec.image ?? '')?.env ?? {});
      } catch (error) {
        const message = (error as Error).message;
        event('Warning', 'Failed', `Error: ${message}`);
        const reason = error instanceof ConfigError ? 'CreateContainerConfigError' : 'CreateContainerError';
        this.#set({ waiting: { reason, message } });
        await this.#sleep(CONFIG_RETRY_MS);
      }
    }
    return undefined;
  }

  /** Milliseconds of the grace that are left. */
  async #preStop(graceMs: number): Promise<number> {
    const { clock, hook, event } = this.#env;
    const handler = this.spec.lifecycle?.preStop;
    if (!handler || graceMs <= 0) return graceMs;
    const startMs = clock.unixMs();
    let timer: Timer | undefined;
    const late = new Promise<void>((resolve) => {
      timer = clock.after(graceMs * 1000, resolve);
    });
    const failed = (error: unknown) => event('Warning', 'FailedPreStopHook', `PreStopHook failed: ${messageOf(error)}`);
    await Promise.race([hook(handler).catch(failed), late]);
    timer?.cancel();
    return Math.max(AFTER_HOOK_MS, graceMs - (clock.unixMs() - startMs));
  }

  async #postStart(): Promise<void> {
    const handler = this.spec.lifecycle?.postStart;
    if (!handler) return;
    try {
      await this.#env.hook(handler);
    } catch (error) {
      this.#env.event('Warning', 'FailedPostStartHook', `PostStartHook failed: ${messageOf(error)}`);
      void this.kill(this.#env.graceMs, 'FailedPostStartHook');
    }
  }

  async #runOnce(argv: readonly string[]): Promise<number> {
    const { pod, spec, sandbox, clock, event } = this.#env;
    const env = await this.#configure();
    if (!env) return 0;
    this.environment = env;
    if (this.restartCount > 0) {
      this.previousLog = this.log;
      this.log = new ContainerLog(clock);
    }
    this.#stdin = spec.stdin ? new PassThrough() : null;
    const stdout = this.log.writable('stdout');
    const stderr = this.log.writable('stderr');
    event('Normal', 'Created', `Created container: ${this.name}`);
    let startedAt = formatTime(clock.unixMs());
    let code: number;
    let message: string | undefined;
    try {
      const process = await sandbox.run({
        argv: argv.map((arg) => expand(arg, env)),
        env,
        cwd: spec.workingDir ?? '/',
        io: { stdin: this.#stdin, stdout, stderr, tty: spec.tty ?? false },
      });
      this.#process = process;
      if (this.#stopping) process.signal('SIGTERM'); // stop() came while it was being started
      startedAt = formatTime(clock.unixMs());
      this.#containerID = `podwire://${sha256(`${pod.metadata.uid}/${this.name}/${this.restartCount}`)}`;
      event('Normal', 'Started', `Started container ${this.name}`);
      await this.#postStart();
      this.#set({ running: { startedAt } });
      code = (await process.exit).code;
    } catch (error) {
      code = 128;
      message = (error as Error).message;
      event('Warning', 'Failed', `Error: ${message}`);
    }
    stdout.end();
    stderr.end();
    const unstarted = message ? undefined : this.#startError(argv, code);
    if (unstarted) {
      [code, message] = [128, unstarted];
      event('Warning', 'Failed', `Error: ${message}`);
    }
    this.#process = null;
    this.ready = false;
    this.started = false;
    this.#set({
      terminated: {
        exitCode: code,
        reason: message ? 'StartError' : code === 0 ? 'Completed' : 'Error',
        ...(message ? { message } : {}),
        startedAt,
        finishedAt: formatTime(clock.unixMs()),
        ...(this.#containerID ? { containerID: this.#containerID } : {}),
      },
    });
    return code;
  }

  /**
   * Why the program could not be run at all. Both runtimes find that out inside the Pod, where they end with a shell's code and
   * say no more than this line, naming the program.
   */
  #startError(argv: readonly string[], code: number): string | undefined {
    const [first] = this.log.lines();
    const told = first?.stream === 'stderr' && first.text.startsWith(`exec: ${JSON.stringify(argv[0])}: `);
    return told && (code === 126 || code === 127) ? `unable to start container process: ${first.text}` : undefined;
  }

  async #backOff(waitMs: number): Promise<void> {
    const { pod } = this.#env;
    const what = `container=${this.name} pod=${pod.metadata.name}_${pod.metadata.namespace}(${pod.metadata.uid})`;
    this.#env.event(
      'Warning',
      'BackOff',
      `Back-off restarting failed container ${this.name} in pod ${pod.metadata.name}_${pod.metadata.namespace}(${pod.metadata.uid})`,
    );
    this.#set({
      waiting: { reason: 'CrashLoopBackOff', message: `back-off ${duration(waitMs)} restarting failed ${what}` },
    });
    await this.#sleep(waitMs);
  }

  #restarts(code: number): boolean {
    return this.#env.restart === 'Always' || (this.#env.restart === 'OnFailure' && code !== 0);
  }

  #set(state: ContainerState): void {
    if (this.state.terminated) this.#lastState = { terminated: this.state.terminated };
    this.state = state;
    this.#env.changed();
  }

  #sleep(ms: number): Promise<void> {
    if (this.#stopping) return Promise.resolve();
    return new Promise((resolve) => {
      this.#wake = resolve;
      this.#timer = this.#env.clock.after(ms * 1000, resolve);
    });
  }
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Go's time.Duration text for whole seconds: 10s, 1m20s. */
function duration(ms: number): string {
  const s = Math.round(ms / 1000);
  return s < 60 ? `${s}s` : `${Math.floor(s / 60)}m${s % 60}s`;
}
