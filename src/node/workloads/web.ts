// The small web server behind the built-in images of userspace Pods (nginx, the k8sbook greeters, agnhost netexec): node:http over
// the Pod's own TCP. Same flags and answers as native/pod-web.c, which serves netns Pods:
//
//   web --port N [--server NAME] [--body TEXT] [--netexec]
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { TcpServer } from '../../tcpip-ts/socket/tcp-server.ts';
import type { TcpSocket } from '../../tcpip-ts/socket/tcp-socket.ts';
import type { ProcessContext, Program } from './program.ts';

interface Options {
  readonly port: number;
  readonly server: string;
  readonly body: string;
  readonly netexec: boolean;
}

export const web: Program = async (ctx) => {
  const options = parse(ctx.argv.slice(1));
  if (typeof options === 'string') {
    ctx.stderr.write(`web: unexpected argument ${options}\n`);
    return 2;
  }
  return new Promise<number>((exit) => {
    const http = createServer((request, response) => {
      const code = answer(ctx, options, request, response);
      if (code !== undefined) exit(code);
    });
    http.keepAliveTimeout = 0; // idle clients cost little here, and no timer outlives a virtual clock
    http.on('clientError', (error: NodeJS.ErrnoException, socket) => {
      if (error.code?.startsWith('HPE_')) refuse(ctx, options, socket as unknown as TcpSocket);
      else socket.destroy();
    });
    const listener = new TcpServer(ctx.stack, { allowHalfOpen: true });
    const sockets = new Set<TcpSocket>();
    listener.on('connection', (socket: TcpSocket) => {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
      http.emit('connection', socket as unknown as Socket); // a Duplex with the parts of net.Socket that node:http uses
    });
    listener.on('error', (error) => {
      ctx.stderr.write(`web: listen on port ${options.port}: ${error.message}\n`);
      exit(1);
    });
    ctx.signal.addEventListener('abort', () => {
      listener.close();
      for (const socket of sockets) socket.destroy();
      exit(0);
    });
    listener.listen(options.port);
  });
};

function parse(args: readonly string[]): Options | string {
  let port = 80;
  let server = 'podwire-web';
  let body = '';
  let netexec = false;
  for (let i = 0; i < args.length; i++) {
    const value = args[i + 1];
    if (args[i] === '--netexec') netexec = true;
    else if (args[i] === '--port' && value !== undefined) port = Number(args[++i]);
    else if (args[i] === '--server' && value !== undefined) server = args[++i]!;
    else if (args[i] === '--body' && value !== undefined) body = args[++i]!;
    else return args[i]!;
  }
  return { port, server, body, netexec };
}

/** Answers one request; returns an exit code when the request asked the server to end. */
function answer(
  ctx: ProcessContext,
  options: Options,
  request: IncomingMessage,
  response: ServerResponse,
): number | undefined {
  const { method = '', url = '/', httpVersion } = request;
  const peer = request.socket.remoteAddress ?? '-';
  let status = 200;
  let body = options.body.replaceAll('%h', ctx.hostname);
  let exitCode: number | undefined;
  if (method !== 'GET' && method !== 'HEAD') {
    status = 405;
    body = '405 Method Not Allowed\n';
  } else if (options.netexec) {
    const [pathname, query] = url.split(/\?(.*)/s, 2);
    const searchParams = new URLSearchParams(query);
    if (pathname === '/hostname') body = ctx.hostname;
    else if (pathname === '/clientip') body = `${peer}:${request.socket.remotePort}`;
    else if (pathname === '/echo') body = searchParams.get('msg') ?? '';
    else if (pathname === '/healthz' || pathname === '/') body = 'OK\n';
    else if (pathname === '/exit') exitCode = Number(searchParams.get('code') ?? 0);
    else {
      status = 404;
      body = '404 Not Found\n';
    }
  }
  const bytes = Buffer.from(body);
  response.writeHead(status, {
    Server: options.server,
    Date: new Date(ctx.clock.unixMs()).toUTCString(),
    'Content-Type': body.startsWith('<') ? 'text/html' : 'text/plain; charset=utf-8',
    'Content-Length': bytes.length,
  });
  response.end(method === 'HEAD' ? undefined : bytes);
  access(ctx, peer, `${method} ${url} HTTP/${httpVersion}`, status, method === 'HEAD' ? 0 : bytes.length);
  return exitCode;
}

/** What is no HTTP is told so, and the connection closed. */
function refuse(ctx: ProcessContext, { server }: Options, socket: TcpSocket): void {
  const body = '400 Bad Request\n';
  const date = new Date(ctx.clock.unixMs()).toUTCString();
  const head = `HTTP/1.1 400 Bad Request\r\nServer: ${server}\r\nDate: ${date}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n`;
  access(ctx, socket.remoteAddress ?? '-', '- - -', 400, body.length);
  socket.end(head + body);
}

/** One line in nginx's combined format. */
function access({ stdout, clock }: ProcessContext, peer: string, request: string, status: number, sent: number): void {
  stdout.write(`${peer} - - [${accessTime(clock.unixMs())}] "${request}" ${status} ${sent} "-" "-"\n`);
}

/** nginx's $time_local, in UTC: 22/Nov/2026:03:24:00 +0000. */
function accessTime(unixMs: number): string {
  const [, day, month, year, time] = new Date(unixMs).toUTCString().replace(',', '').split(' ');
  return `${day}/${month}/${year}:${time} +0000`;
}
