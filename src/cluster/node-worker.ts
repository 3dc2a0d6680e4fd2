// The thread of one Node: receives its settings and two ports (the API, and calls of the cluster), makes the Node and serves
// the calls until told to close.
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { connectPort } from '../client/port-client.ts';
import type { TraceQuestion } from '../kernel/what-if/types.ts';
import { RealClock } from '../lib/clock.ts';
import { unseededRng } from '../lib/rng.ts';
import type { Upstream } from './api-relay.ts';
import { EmulatedNode } from './emulated-node.ts';
import type {
  AttachRequest,
  CaptureRequest,
  ConnectRequest,
  ExecRequest,
  LogRequest,
  PortForwardRequest,
  PortForwardStreams,
  RulesFormat,
} from './node-handle.ts';
import { type SessionRequest, serveSession } from './node-session.ts';
import { type Call, type Handler, Rpc } from './rpc.ts';
import type { ClusterSettings, NodeSettings } from './settings.ts';

export interface NodeWorkerData {
  readonly settings: ClusterSettings;
  readonly node: NodeSettings;
  readonly apiPort: MessagePort;
  readonly callPort: MessagePort;
}

async function main(): Promise<void> {
  const { settings, node: nodeSettings, apiPort, callPort } = workerData as NodeWorkerData;
  let closing = false;
  const report = (error: unknown): void => {
    // While it ends, work under way fails for want of what is gone already.
    if (closing) return;
    process.stderr.write(`podwire: ${nodeSettings.name}: ${error instanceof Error ? error.message : String(error)}\n`);
  };
  const node = new EmulatedNode({
    client: connectPort(apiPort),
    clock: new RealClock(),
    rng: unseededRng(),
    settings,
    node: nodeSettings,
    onError: report,
  });
  const handlers: Record<string, Handler> = {
    start: () => node.start(),
    exec: (params, call) => {
      const request = params as SessionRequest<ExecRequest>;
      return serveSession(request, (streams) => node.exec(request, streams), call);
    },
    attach: (params, call) => {
      const request = params as SessionRequest<AttachRequest>;
      return serveSession(request, (streams) => node.attach(request, streams), call);
    },
    portForward: (params, call) => {
      const request = params as SessionRequest<PortForwardRequest>;
      return serveSession(request, (streams) => node.portForward(request, streams as PortForwardStreams), call);
    },
    connect: (params, call) => {
      const request = params as SessionRequest<ConnectRequest>;
      return serveSession(request, (streams) => node.connect(request, streams as PortForwardStreams), call);
    },
    logs: (params) => node.logs(params as LogRequest),
    followLogs: (params, call) => serveFollow(node, params as LogRequest, call),
    capture: (params, call) => serveCapture(node, params as CaptureRequest, call),
    trace: (params) => node.trace(params as TraceQuestion),
    follow: (params, call) => serveFlow(node, params as TraceQuestion, call),
    rules: (params) => node.rules(params as RulesFormat | undefined),
    relayApi: (params) => node.relayApi(params as Upstream),
    status: () => node.status(),
    close: async () => {
      closing = true;
      await node.close();
    },
  };
  new Rpc(callPort, handlers);
}

/** Ends with the container, or when the caller has sent any message: stop. */
async function serveFollow(node: EmulatedNode, request: LogRequest, call: Call): Promise<void> {
  const follow = node.followLogs(request, (lines) => call.send(lines));
  call.onMessage(() => follow.stop());
  await follow.ended;
}

/** Returns when the caller has sent any message: stop. */
async function serveCapture(node: EmulatedNode, request: CaptureRequest, call: Call): Promise<void> {
  const session = await node.capture(request, (bytes) => call.send(bytes));
  await new Promise<void>((resolve) => call.onMessage(() => resolve()));
  await session.stop();
}

/** Returns when the caller has sent any message: stop. */
async function serveFlow(node: EmulatedNode, question: TraceQuestion, call: Call): Promise<void> {
  const session = await node.follow(question, (hop) => call.send(hop));
  call.send(null);
  await new Promise<void>((resolve) => call.onMessage(() => resolve()));
  await session.stop();
}

if (parentPort) await main();
