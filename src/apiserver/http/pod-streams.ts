// The subresources of Pods that go on to the Node: log (plain text, also followed), exec, attach and portforward (WebSockets). After
// k8s.io/kubernetes/pkg/registry/core/pod/rest and strategy.go (LogLocation, ExecLocation, PortForwardLocation); wording as there.
// Left out: SPDY without a WebSocket around it, which kubectl before 1.31 speaks.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import type { Pod } from '../../api/core-v1.ts';
import { isPodTerminal } from '../../api/pod.ts';
import { badRequest } from '../../api/status-error.ts';
import type { Clock } from '../../lib/clock.ts';
import type { ContainerName, LogLine, PodBackend } from '../streaming/pod-backend.ts';
import {
  type Forward,
  forwardOverChannels,
  forwardOverSpdy,
  PORT_FORWARD_CHANNELS,
  PORT_FORWARD_SPDY,
} from '../streaming/port-forward.ts';
import {
  COMMAND_PROTOCOLS,
  type CommandSession,
  type CommandStreams,
  serveRemoteCommand,
} from '../streaming/remote-command.ts';
import { keepAlive } from '../streaming/web-socket.ts';
import { isTrue } from './request-info.ts';

export class PodStreams {
  readonly #backend: PodBackend;
  readonly #clock: Clock;
  readonly #sockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    handleProtocols: (offered, { url = '' }) => {
      const served = /\/portforward(\?|$)/.test(url) ? [PORT_FORWARD_CHANNELS] : COMMAND_PROTOCOLS;
      return [...offered].find((protocol) => served.includes(protocol)) ?? false;
    },
  });
  /** Apart, because that protocol's name has a slash, which is no token (RFC 6455, 4.1), and ws refuses it: it is not shown the header. */
  readonly #tunnels = new WebSocketServer({ noServer: true, perMessageDeflate: false }).on('headers', (headers) => {
    headers.push(`Sec-WebSocket-Protocol: ${PORT_FORWARD_SPDY}`);
  });

  constructor(backend: PodBackend, clock: Clock) {
    this.#backend = backend;
    this.#clock = clock;
  }

  close(): void {
    for (const socket of [...this.#sockets.clients, ...this.#tunnels.clients]) socket.terminate();
  }

  /** Throws StatusError before anything has been answered. */
  exec(pod: Pod, query: URLSearchParams, request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const argv = query.getAll('command');
    if (argv.length === 0) throw badRequest('you must specify at least 1 command for the container');
    const name = containerOf(pod, query.get('container'));
    if (isPodTerminal(pod)) {
      throw badRequest(`cannot exec into a container in a completed pod; current phase is ${pod.status?.phase}`);
    }
    this.#command(query, request, socket, head, (tty, streams) => this.#backend.exec(name, argv, tty, streams));
  }

  /** Throws StatusError before anything has been answered. */
  attach(pod: Pod, query: URLSearchParams, request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const name = containerOf(pod, query.get('container'));
    this.#command(query, request, socket, head, (tty, streams) => this.#backend.attach(name, tty, streams));
  }

  /** Throws StatusError before anything has been answered. */
  portforward(pod: Pod, query: URLSearchParams, request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { name = '', namespace = 'default' } = pod.metadata;
    const { nodeName } = pod.spec;
    if (!nodeName) throw badRequest(`pod ${name} does not have a host assigned`);
    expectProtocol(request, [PORT_FORWARD_SPDY, PORT_FORWARD_CHANNELS]);
    const forward: Forward = (port, streams) =>
      this.#backend.portForward({ namespace, pod: name, nodeName }, port, streams);
    const ports = query.getAll('ports').flatMap((text) => text.split(','));
    if (offeredProtocols(request).includes(PORT_FORWARD_SPDY)) {
      delete request.headers['sec-websocket-protocol'];
      this.#tunnels.handleUpgrade(request, socket, head, (ws) => {
        keepAlive(ws, this.#clock);
        forwardOverSpdy(ws, this.#clock, forward);
      });
      return;
    }
    checkPorts(ports);
    this.#sockets.handleUpgrade(request, socket, head, (ws) => {
      keepAlive(ws, this.#clock);
      forwardOverChannels(ws, ports.map(Number), forward);
    });
  }

  #command(
    query: URLSearchParams,
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    start: (tty: boolean, streams: CommandStreams) => CommandSession,
  ): void {
    if (!['stdin', 'stdout', 'stderr'].some((name) => isTrue(query.get(name)))) {
      throw badRequest('you must specify at least 1 of stdin, stdout, stderr');
    }
    expectProtocol(request, COMMAND_PROTOCOLS);
    const tty = isTrue(query.get('tty'));
    const options = { stdin: isTrue(query.get('stdin')), tty, clock: this.#clock };
    this.#sockets.handleUpgrade(request, socket, head, (ws) => {
      serveRemoteCommand(ws, options, (streams) => start(tty, streams));
    });
  }

  async log(pod: Pod, query: URLSearchParams, response: ServerResponse): Promise<void> {
    const name = containerOf(pod, query.get('container'));
    const previous = isTrue(query.get('previous'));
    const select = selection(query, this.#clock.unixMs());
    const { containerStatuses = [], initContainerStatuses = [], ephemeralContainerStatuses = [] } = pod.status ?? {};
    const state = [...containerStatuses, ...initContainerStatuses, ...ephemeralContainerStatuses].find(
      (status) => status.name === name.container,
    );
    const waiting = state?.state?.waiting;
    if (!previous && waiting && !state.lastState?.terminated) {
      const why = PULL_WORDS[waiting.reason ?? ''] ?? waiting.reason ?? 'ContainerCreating';
      throw badRequest(`container "${name.container}" in pod "${name.pod}" is waiting to start: ${why}`);
    }
    if (isTrue(query.get('follow')) && !previous) return this.#follow(name, select, response);
    let lines: readonly LogLine[];
    try {
      lines = await this.#backend.logs(name, previous);
    } catch (error) {
      throw badRequest((error as Error).message);
    }
    begin(response);
    response.end(select.limit(select.first(lines).map(select.text).join('')));
  }

  #follow(name: ContainerName, select: Selection, response: ServerResponse): void {
    begin(response);
    response.flushHeaders();
    let first = true;
    const follow = this.#backend.followLogs(name, (lines) => {
      const chosen = first ? select.first(lines) : lines;
      first = false;
      const text = chosen.map(select.text).join('');
      // Bounded by the log itself: a client that does not read is cut off once a whole log waits for it.
      if (response.writableLength > MAX_WAITING) response.destroy();
      else if (text !== '') response.write(text);
    });
    response.on('close', () => follow.stop());
    follow.ended.then(
      () => response.end(),
      () => response.destroy(),
    );
  }
}

const MAX_WAITING = 4 << 20;

function offeredProtocols(request: IncomingMessage): string[] {
  return (request.headers['sec-websocket-protocol'] ?? '').split(',').map((protocol) => protocol.trim());
}

function expectProtocol(request: IncomingMessage, served: readonly string[]): void {
  if (offeredProtocols(request).some((protocol) => served.includes(protocol))) return;
  throw badRequest(`unable to upgrade: expected a WebSocket with one of the protocols ${served.join(', ')}`);
}

function checkPorts(ports: readonly string[]): void {
  if (ports.length === 0) throw badRequest('query parameter "port" is required');
  for (const text of ports) {
    if (!/^\d{1,5}$/.test(text)) throw badRequest(`unable to parse ${JSON.stringify(text)} as a port`);
    if (Number(text) < 1 || Number(text) > 65_535) throw badRequest(`port ${JSON.stringify(text)} must be > 0`);
  }
}

/** What is said of a container that waits for its image. */
const PULL_WORDS: Readonly<Record<string, string>> = {
  ErrImagePull: "image can't be pulled",
  ImagePullBackOff: 'trying and failing to pull image',
};

interface Selection {
  first(lines: readonly LogLine[]): readonly LogLine[];
  readonly text: (line: LogLine) => string;
  limit(text: string): string;
}

function selection(query: URLSearchParams, nowMs: number): Selection {
  const number = (name: string): number | undefined => {
    const text = query.get(name);
    if (text === null || text === '') return undefined;
    if (!/^\d{1,15}$/.test(text)) throw badRequest(`${name}: Invalid value: ${JSON.stringify(text)}`);
    return Number(text);
  };
  const tail = number('tailLines');
  const since = number('sinceSeconds');
  const limitBytes = number('limitBytes');
  const sinceTime = query.get('sinceTime');
  const fromMs = since !== undefined ? nowMs - since * 1000 : sinceTime ? Date.parse(sinceTime) : undefined;
  if (fromMs !== undefined && Number.isNaN(fromMs))
    throw badRequest(`sinceTime: Invalid value: ${JSON.stringify(sinceTime)}`);
  const timestamps = isTrue(query.get('timestamps'));
  return {
    first: (lines) => {
      const recent = fromMs === undefined ? lines : lines.filter((line) => line.unixMs >= fromMs);
      return tail === undefined ? recent : recent.slice(Math.max(0, recent.length - tail));
    },
    text: ({ unixMs, text }) => (timestamps ? `${nanoTime(unixMs)} ${text}\n` : `${text}\n`),
    limit: (text) => (limitBytes === undefined ? text : Buffer.from(text).subarray(0, limitBytes).toString()),
  };
}

/** RFC 3339 with nine digits, as the container runtime writes it. */
function nanoTime(unixMs: number): string {
  return new Date(unixMs).toISOString().replace(/\.(\d{3})Z$/, '.$1000000Z');
}

function containerOf(pod: Pod, asked: string | null): ContainerName {
  const { name = '', namespace = 'default' } = pod.metadata;
  const names = pod.spec.containers.map((container) => container.name);
  const inits = (pod.spec.initContainers ?? []).map((container) => container.name);
  if (!asked && names.length > 1) {
    const others = inits.length > 0 ? ` or one of the init containers: [${inits.join(' ')}]` : '';
    throw badRequest(
      `a container name must be specified for pod ${name}, choose one of: [${names.join(' ')}]${others}`,
    );
  }
  const container = asked || names[0]!;
  const ephemeral = (pod.spec.ephemeralContainers ?? []).map((c) => c.name);
  if (![...names, ...inits, ...ephemeral].includes(container)) {
    throw badRequest(`container ${container} is not valid for pod ${name}`);
  }
  if (!pod.spec.nodeName) throw badRequest(`pod ${name} does not have a host assigned`);
  return { namespace, pod: name, container, nodeName: pod.spec.nodeName };
}

function begin(response: ServerResponse): void {
  response.statusCode = 200;
  response.setHeader('Content-Type', 'text/plain');
  response.setHeader('Cache-Control', 'no-cache, private');
}
