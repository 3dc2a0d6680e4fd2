// What the API server asks of the Nodes, as the real one asks their kubelets: to run a command in a container, to join it, and for its log.
// The cluster implements it.
import type { CommandSession, CommandStreams } from './remote-command.ts';

export interface ContainerName {
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
  readonly nodeName: string;
}

export interface LogLine {
  readonly unixMs: number;
  /** Without the newline. */
  readonly text: string;
}

export interface LogFollow {
  /** Resolves when the container has ended or `stop` was called. */
  readonly ended: Promise<void>;
  stop(): void;
}

export interface PodBackend {
  exec(name: ContainerName, argv: readonly string[], tty: boolean, streams: CommandStreams): CommandSession;
  /** Joins the container's run; the session ends with it, `kill` only leaves it. */
  attach(name: ContainerName, tty: boolean, streams: CommandStreams): CommandSession;
  /** Of the present run, or the one before. Rejects when there is none. */
  logs(name: ContainerName, previous: boolean): Promise<readonly LogLine[]>;
  /** Every line there is, then each new one. */
  followLogs(name: ContainerName, onLines: (lines: readonly LogLine[]) => void): LogFollow;
}
