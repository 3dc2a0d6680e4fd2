// A sandbox whose processes end when the test says so, or on a signal.
import type { ExitStatus, ProcessConfig, RunningProcess, Sandbox } from '../../src/node/runtime/runtime.ts';

export class FakeSandbox implements Sandbox {
  readonly podIP = 1;
  readonly started: ProcessConfig[] = [];
  readonly signals: string[] = [];
  files = new Map<string, string>();
  closed = false;
  ignoresTerm = false;
  readonly #ends: ((status: ExitStatus) => void)[] = [];

  async run(config: ProcessConfig): Promise<RunningProcess> {
    const index = this.started.push(config) - 1;
    const exit = new Promise<ExitStatus>((resolve) => this.#ends.push(resolve));
    return {
      exit,
      resize: () => {},
      signal: (name) => {
        this.signals.push(name);
        if (name === 'SIGKILL') this.end(137, index);
        else if (!this.ignoresTerm) this.end(143, index);
      },
    };
  }

  /** Of the process started last, unless another is named. */
  end(code: number, index: number = this.#ends.length - 1): void {
    this.#ends[index]?.({ code });
  }

  connect(): Promise<never> {
    return Promise.reject(new Error('no network here'));
  }

  updateFile(path: string, text: string): void {
    this.files.set(path, text);
  }

  async close(): Promise<void> {
    this.closed = true;
  }
}
