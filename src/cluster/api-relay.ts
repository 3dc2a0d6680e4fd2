// The API server's place inside the cluster: 192.168.49.2:8443, the endpoint behind the ClusterIP of default/kubernetes. The first
// Node's own userspace stack takes the connections of Pods and passes their bytes on, untouched, to where the API listens on
// this machine: TLS goes from the Pod to the API server.
import { connect } from 'node:net';
import { pipeline } from 'node:stream';
import { TcpServer } from '../tcpip-ts/socket/tcp-server.ts';
import type { TcpHost, TcpSocket } from '../tcpip-ts/socket/tcp-socket.ts';

/** As controller/kubernetes-service.ts publishes it. */
export const API_NODE_PORT = 8443;

export interface Upstream {
  readonly host: string;
  readonly port: number;
}

/** Ends with the stack. Rejects when the port is taken. */
export function relayApi(stack: TcpHost, upstream: Upstream): Promise<void> {
  const server = new TcpServer(stack, { allowHalfOpen: true }, (socket) => relay(socket, upstream));
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port: API_NODE_PORT }, () => resolve());
  });
}

function relay(pod: TcpSocket, { host, port }: Upstream): void {
  const api = connect({ host, port, allowHalfOpen: true });
  const ended = (error: Error | null | undefined): void => {
    if (!error) return;
    pod.destroy();
    api.destroy();
  };
  pipeline(pod, api, ended);
  pipeline(api, pod, ended);
}
