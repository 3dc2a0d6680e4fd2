// What the API server asks of the Nodes, as the real one asks their kubelets: to run a command in a container, to join it, for its
// log, and to connect to a port of a Pod or of the Node. The cluster implements it.
import type { ForwardStreams } from './port-forward.ts';
import type { CommandSession, CommandStreams } from './remote-command.ts';

export interface PodName {
  readonly namespace: string;
  readonly pod: string;
  readonly nodeName: string;
}

export interface ContainerName extends PodName {
  readonly container: string;
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
  /** Connects to a port on the Pod's loopback address. See port-forward.ts. */
  portForward(name: PodName, port: number, streams: ForwardStreams): CommandSession;
  /** Connects to a port of the Node itself. */
  connect(nodeName: string, port: number, streams: ForwardStreams): CommandSession;
  /** Of the present run, or the one before. Rejects when there is none. */
  logs(name: ContainerName, previous: boolean): Promise<readonly LogLine[]>;
  /** Every line there is, then each new one. */
  followLogs(name: ContainerName, onLines: (lines: readonly LogLine[]) => void): LogFollow;
}
