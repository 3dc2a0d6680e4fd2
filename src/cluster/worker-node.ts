// The main thread's handle of a Node that lives in a worker thread.
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import type { LiveHop } from '../kernel/core/live-trace.ts';
import type { TraceAnswer, TraceQuestion } from '../kernel/what-if/types.ts';
import type { LogLine } from '../node/container-log.ts';
import type { Upstream } from './api-relay.ts';
import type {
  AttachRequest,
  CaptureRequest,
  CaptureSession,
  ConnectRequest,
  ExecRequest,
  ExecSession,
  ExecStreams,
  LogFollow,
  LogRequest,
  NodeHandle,
  NodeStatus,
  PortForwardRequest,
  PortForwardStreams,
  RulesFormat,
} from './node-handle.ts';
import { callSession } from './node-session.ts';
import type { NodeWorkerData } from './node-worker.ts';
import { Rpc } from './rpc.ts';
import type { ClusterSettings, NodeSettings } from './settings.ts';

export class WorkerNode implements NodeHandle {
  readonly name: string;
  readonly #worker: Worker;
  readonly #rpc: Rpc;
  readonly #exited: Promise<void>;
  #closing = false;

  /** `apiPort` leads to the API server; it is handed over to the thread. `onDeath` hears of a thread that ends uncalled. */
  constructor(settings: ClusterSettings, node: NodeSettings, apiPort: MessagePort, onDeath: (error: Error) => void) {
    this.name = node.name;
    const { port1, port2 } = new MessageChannel();
    const workerData: NodeWorkerData = { settings, node, apiPort, callPort: port2 };
    this.#worker = new Worker(new URL('./node-worker.js', import.meta.url), {
      workerData,
      transferList: [apiPort, port2],
      name: node.name,
    });
    this.#rpc = new Rpc(port1, {});
    let cause: Error | undefined;
    this.#worker.on('error', (error) => {
      cause = error;
    });
    this.#exited = new Promise((resolve) => {
      this.#worker.on('exit', () => {
        port1.close();
        resolve();
        const error = new Error(`node ${node.name}: its thread ended${cause ? `: ${cause.message}` : ''}`, { cause });
        this.#rpc.fail(error);
        if (!this.#closing) onDeath(error);
      });
    });
  }

  async start(): Promise<void> {
    await this.#rpc.call('start', undefined).result;
  }

  exec(request: ExecRequest, streams: ExecStreams): ExecSession {
    return callSession(this.#rpc, 'exec', request, streams);
  }

  attach(request: AttachRequest, streams: ExecStreams): ExecSession {
    return callSession(this.#rpc, 'attach', request, streams);
  }

  portForward(request: PortForwardRequest, streams: PortForwardStreams): ExecSession {
    return callSession(this.#rpc, 'portForward', request, streams);
  }

  connect(request: ConnectRequest, streams: PortForwardStreams): ExecSession {
    return callSession(this.#rpc, 'connect', request, streams);
  }

  async logs(request: LogRequest): Promise<readonly LogLine[]> {
    return (await this.#rpc.call('logs', request).result) as readonly LogLine[];
  }

  followLogs(request: LogRequest, onLines: (lines: readonly LogLine[]) => void): LogFollow {
    const call = this.#rpc.call('followLogs', request);
    call.onMessage((lines) => onLines(lines as readonly LogLine[]));
    return { ended: call.result as Promise<void>, stop: () => call.send('stop') };
  }

  async capture(request: CaptureRequest, sink: (bytes: Uint8Array) => void): Promise<CaptureSession> {
    const call = this.#rpc.call('capture', request);
    // The first bytes (the file's header) tell that it runs; a refused filter rejects instead.
    await new Promise<void>((resolve, reject) => {
      call.result.catch(reject);
      call.onMessage((bytes) => {
        sink(bytes as Uint8Array);
        resolve();
      });
    });
    return {
      stop: async () => {
        call.send('stop');
        await call.result;
      },
    };
  }

  async trace(question: TraceQuestion): Promise<TraceAnswer> {
    return (await this.#rpc.call('trace', question).result) as TraceAnswer;
  }

  async follow(question: TraceQuestion, tell: (hop: LiveHop) => void): Promise<CaptureSession> {
    const call = this.#rpc.call('follow', question);
    // An empty message tells that it runs; a question that makes no sense rejects instead.
    await new Promise<void>((resolve, reject) => {
      call.result.catch(reject);
      call.onMessage((hop) => (hop === null ? resolve() : tell(hop as LiveHop)));
    });
    return {
      stop: async () => {
        call.send('stop');
        await call.result;
      },
    };
  }

  async rules(format?: RulesFormat): Promise<string> {
    return (await this.#rpc.call('rules', format).result) as string;
  }

  async relayApi(upstream: Upstream): Promise<void> {
    await this.#rpc.call('relayApi', upstream).result;
  }

  async status(): Promise<NodeStatus> {
    return (await this.#rpc.call('status', undefined).result) as NodeStatus;
  }

  async close(): Promise<void> {
    if (this.#closing) return this.#exited;
    this.#closing = true;
    await this.#rpc.call('close', undefined).result.catch(() => undefined); // a thread that is gone has nothing to close
    await this.#worker.terminate(); // what has closed may still hold a timer: nothing to wait for
    await this.#exited;
  }
}
