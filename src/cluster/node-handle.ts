// What the cluster asks of a Node, whether it lives in this thread (simulation, tests) or in a worker. The API's exec, logs and
// the like, and the CLI's trace, capture and rules, all come down to these calls.
import type { Readable, Writable } from 'node:stream';
import type { LiveHop } from '../kernel/core/live-trace.ts';
import type { TraceAnswer, TraceQuestion } from '../kernel/what-if/types.ts';
import type { LogLine } from '../node/container-log.ts';
import type { ProxyMode } from '../proxy/config.ts';
import type { Upstream } from './api-relay.ts';

export interface ExecRequest {
  readonly namespace: string;
  readonly pod: string;
  readonly container?: string;
  readonly argv: readonly string[];
  readonly tty: boolean;
}

/** Joins what runs already. */
export type AttachRequest = Omit<ExecRequest, 'argv'>;

export interface ExecStreams {
  readonly stdin: Readable | null;
  readonly stdout: Writable;
  readonly stderr: Writable;
}

export interface ExecSession {
  /** The exit code. Rejects when the command could not be started. */
  readonly exit: Promise<number>;
  resize(columns: number, rows: number): void;
  /** Ends the command: the client has gone. */
  kill(): void;
}

export interface PortForwardRequest {
  readonly namespace: string;
  readonly pod: string;
  readonly port: number;
}

/** Of the Node's own. */
export type ConnectRequest = Pick<PortForwardRequest, 'port'>;

export type PortForwardStreams = Pick<ExecStreams, 'stdout'> & { readonly stdin: Readable };

export interface LogRequest {
  readonly namespace: string;
  readonly pod: string;
  readonly container?: string;
  readonly previous?: boolean;
}

export interface LogFollow {
  /** Resolves when the container has ended or `stop` was called. */
  readonly ended: Promise<void>;
  stop(): void;
}

export interface CaptureRequest {
  /** Pods as `namespace/name`; all when empty. */
  readonly pods: readonly string[];
  /** A filter in pcap-filter's language, '' for all. */
  readonly filter: string;
  /** `namespace/name` of a Service: its packets alone. */
  readonly service?: string;
  /** What the Node drops, with the reason, in place of what comes and goes. */
  readonly dropped?: boolean;
}

export interface CaptureSession {
  /** Stops, after the last packet has been given to the sink. */
  stop(): Promise<void>;
}

export interface NodeStatus {
  readonly name: string;
  /** That runs now. */
  readonly proxyMode: ProxyMode;
  readonly pods: number;
  readonly rxPackets: number;
  readonly txPackets: number;
  /** Drop reason to count, zero ones left out. */
  readonly drops: Record<string, number>;
  readonly conntrack: number;
  readonly rssBytes: number;
}

export type RulesFormat = 'iptables-save' | 'ipset-save' | 'ipvsadm-save' | 'nft';

export interface NodeHandle {
  readonly name: string;
  exec(request: ExecRequest, streams: ExecStreams): ExecSession;
  /** Ends with the container's run, or by `kill`, which leaves the container alone. */
  attach(request: AttachRequest, streams: ExecStreams): ExecSession;
  /** Connects to a port of the Pod; `stdout` ends when the Pod ends. `exit` rejects when nothing listens. */
  portForward(request: PortForwardRequest, streams: PortForwardStreams): ExecSession;
  /** The same with a port of the Node's own: on its address, else on its loopback address. */
  connect(request: ConnectRequest, streams: PortForwardStreams): ExecSession;
  logs(request: LogRequest): Promise<readonly LogLine[]>;
  /** `onLines` first gets every line there is (perhaps none), then the new ones. */
  followLogs(request: LogRequest, onLines: (lines: readonly LogLine[]) => void): LogFollow;
  /** `sink` gets the bytes of one pcapng file, in order. */
  capture(request: CaptureRequest, sink: (bytes: Uint8Array) => void): Promise<CaptureSession>;
  trace(question: TraceQuestion): Promise<TraceAnswer>;
  /** Follows real packets of the flow, until the session is stopped. */
  follow(question: TraceQuestion, tell: (hop: LiveHop) => void): Promise<CaptureSession>;
  /** By default in the format of the proxy mode's own tool. */
  rules(format?: RulesFormat): Promise<string>;
  /** Takes the connections of Pods to the API server and passes them on to where it listens on this machine. */
  relayApi(upstream: Upstream): Promise<void>;
  status(): Promise<NodeStatus>;
  /** Ends the Node and everything on it. */
  close(): Promise<void>;
}
