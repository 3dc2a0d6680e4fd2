// The running cluster's door for the other `podwire` commands: HTTP on a Unix socket in the run directory, for its owner only.
//   GET  /status /trace?q= /rules?node=&format= /logs?...   JSON, or text
//   GET  /follow?q=                                            trace points of a flow, a JSON line each, until the client goes
//   GET  /logs/follow?pod=ns/name&container=                   a container's lines as text, until it or the client ends
//   GET  /capture?pod=&node=&service=&dropped=&filter=         pcapng until the client goes
//   GET  /exec?pod=ns/name&container=&command=&stdin=&tty=    WebSocket, the remote command protocol
//   POST /down                                               answers when everything is gone
import { chmodSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import { DEPLOYMENTS, NODES, PODS, SERVICES } from '../api/resources.ts';
import { CHANNEL_PROTOCOL, serveRemoteCommand } from '../apiserver/streaming/remote-command.ts';
import type { Cluster } from './cluster.ts';
import type { CaptureRequest, NodeHandle, RulesFormat } from './node-handle.ts';
import { objectName, podName } from './object-name.ts';
import { resolveQuestion } from './trace-question.ts';

/** Bytes that a client of a container's log may leave unread. */
const MAX_WAITING = 4 << 20;

export class ControlServer {
  readonly #cluster: Cluster;
  readonly #http: Server;
  readonly #sockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    handleProtocols: (offered) => (offered.has(CHANNEL_PROTOCOL) ? CHANNEL_PROTOCOL : false),
  });
  readonly #down: () => Promise<void>;

  /** `down` ends the cluster; the process may exit once it resolves and the answer is sent. */
  constructor(cluster: Cluster, down: () => Promise<void>) {
    this.#cluster = cluster;
    this.#down = down;
    this.#http = createServer((request, response) => void this.#serve(request, response));
    this.#http.on(
      'upgrade',
      (request: IncomingMessage, socket: Duplex, head: Buffer) => void this.#upgrade(request, socket, head),
    );
  }

  listen(path: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#http.once('error', reject);
      this.#http.listen(path, () => {
        chmodSync(path, 0o600);
        resolve();
      });
    });
  }

  close(): void {
    this.#http.close();
    this.#http.closeAllConnections();
    for (const socket of this.#sockets.clients) socket.terminate();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://podwire');
    try {
      if (request.method === 'POST' && url.pathname === '/down') {
        await this.#down();
        response.end('{}');
      } else if (url.pathname === '/follow') {
        await this.#follow(url.searchParams, response);
      } else if (url.pathname === '/logs/follow') {
        await this.#followLogs(url.searchParams, response);
      } else if (url.pathname === '/capture') {
        await this.#capture(url.searchParams, response);
      } else {
        const body = await this.#answer(url);
        response.setHeader('Content-Type', 'application/json');
        response.end(JSON.stringify(body));
      }
    } catch (error) {
      if (!response.headersSent) response.statusCode = 400;
      response.end(JSON.stringify({ message: error instanceof Error ? error.message : String(error) }));
    }
  }

  async #answer({ pathname, searchParams }: URL): Promise<unknown> {
    switch (pathname) {
      case '/status':
        return this.#status();
      case '/trace': {
        const asked = await resolveQuestion(this.#cluster, JSON.parse(searchParams.get('q') ?? '{}'));
        return asked.node.trace(asked.question);
      }
      case '/rules':
        return this.#node(searchParams.get('node')).rules(
          (searchParams.get('format') ?? undefined) as RulesFormat | undefined,
        );
      case '/logs': {
        const [namespace, pod] = podName(searchParams.get('pod'));
        const node = await this.#cluster.nodeOf(namespace, pod);
        const container = searchParams.get('container');
        return node.logs({
          namespace,
          pod,
          ...(container ? { container } : {}),
          previous: searchParams.has('previous'),
        });
      }
      default:
        throw new Error(`no such request: ${pathname}`);
    }
  }

  async #status(): Promise<unknown> {
    const { client, nodes } = this.#cluster;
    const [pods, services, deployments, nodeObjects] = await Promise.all([
      client.list(PODS),
      client.list(SERVICES),
      client.list(DEPLOYMENTS),
      client.list(NODES),
    ]);
    return {
      pid: process.pid,
      nodes: await Promise.all(nodes.map((node) => node.status())),
      nodeObjects: nodeObjects.items,
      pods: pods.items,
      services: services.items,
      deployments: deployments.items,
    };
  }

  async #capture(query: URLSearchParams, response: ServerResponse): Promise<void> {
    const pods = query.getAll('pod');
    const node =
      pods.length > 0 && !query.get('node')
        ? await this.#cluster.nodeOf(...podName(pods[0]!))
        : this.#node(query.get('node'));
    const service = query.get('service');
    const request: CaptureRequest = {
      pods,
      filter: query.get('filter') ?? '',
      dropped: query.has('dropped'),
      ...(service === null ? {} : { service: await this.#proxiedService(service) }),
    };
    const session = await node.capture(request, (bytes) => response.write(bytes));
    response.on('close', () => void session.stop());
  }

  /** `namespace/name`; throws for one that has no address of its own. */
  async #proxiedService(text: string): Promise<string> {
    const [namespace, name] = objectName('service', text);
    const { spec } = await this.#cluster.client.get(SERVICES, namespace, name);
    const isAlias = spec.type === 'ExternalName';
    if (isAlias || spec.clusterIP === 'None')
      throw new Error(
        `service "${name}" is ${isAlias ? 'of type ExternalName' : 'headless'}: no packet is sent to an address of its own; capture its Pods with --pod, or hosts with a filter`,
      );
    return `${namespace}/${name}`;
  }

  /** A JSON object a line. */
  async #follow(query: URLSearchParams, response: ServerResponse): Promise<void> {
    const { node, question } = await resolveQuestion(this.#cluster, JSON.parse(query.get('q') ?? '{}'));
    const session = await node.follow(question, ({ timeUs, ...hop }) => {
      const time = timeUs / 1e6;
      response.write(`${JSON.stringify({ node: node.name, time, ...hop })}\n`);
    });
    response.flushHeaders();
    response.on('close', () => void session.stop());
  }

  async #followLogs(query: URLSearchParams, response: ServerResponse): Promise<void> {
    const [namespace, pod] = podName(query.get('pod'));
    const node = await this.#cluster.nodeOf(namespace, pod);
    const container = query.get('container');
    const follow = node.followLogs({ namespace, pod, ...(container ? { container } : {}) }, (lines) => {
      // A client that does not read is cut off, as by the API server.
      if (response.writableLength > MAX_WAITING) response.destroy();
      else if (lines.length > 0) response.write(lines.map(({ text }) => `${text}\n`).join(''));
    });
    response.on('close', () => follow.stop());
    await follow.ended;
    response.end();
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const query = new URL(request.url ?? '/', 'http://podwire').searchParams;
    try {
      const [namespace, pod] = podName(query.get('pod'));
      const node = await this.#cluster.nodeOf(namespace, pod);
      const container = query.get('container');
      const command = {
        namespace,
        pod,
        ...(container ? { container } : {}),
        argv: query.getAll('command'),
        tty: query.has('tty'),
      };
      this.#sockets.handleUpgrade(request, socket, head, (ws) => {
        const options = { stdin: query.has('stdin'), tty: command.tty, clock: this.#cluster.clock };
        serveRemoteCommand(ws, options, (streams) => node.exec(command, streams));
      });
    } catch (error) {
      const body = JSON.stringify({ message: error instanceof Error ? error.message : String(error) });
      socket.end(
        `HTTP/1.1 400 Bad Request\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
      );
    }
  }

  #node(name: string | null): NodeHandle {
    const { nodes } = this.#cluster;
    const node = name ? nodes.find((n) => n.name === name) : nodes[0];
    if (!node) throw new Error(`nodes "${name}" not found; there are ${nodes.map((n) => n.name).join(', ')}`);
    return node;
  }
}
