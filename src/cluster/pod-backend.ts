// The API server's way to the Nodes: exec, logs and the like of a Pod go to the Node it runs on.
import type { ContainerName, LogFollow, LogLine, PodBackend, PodName } from '../apiserver/streaming/pod-backend.ts';
import type { ForwardStreams } from '../apiserver/streaming/port-forward.ts';
import type { CommandSession, CommandStreams } from '../apiserver/streaming/remote-command.ts';
import type { LogRequest, NodeHandle } from './node-handle.ts';

export class NodesBackend implements PodBackend {
  readonly #nodes: readonly NodeHandle[];

  constructor(nodes: readonly NodeHandle[]) {
    this.#nodes = nodes;
  }

  exec(name: ContainerName, argv: readonly string[], tty: boolean, streams: CommandStreams): CommandSession {
    return this.#node(name).exec({ ...request(name), argv, tty }, streams);
  }

  attach(name: ContainerName, tty: boolean, streams: CommandStreams): CommandSession {
    return this.#node(name).attach({ ...request(name), tty }, streams);
  }

  portForward(name: PodName, port: number, streams: ForwardStreams): CommandSession {
    return this.#node(name).portForward({ namespace: name.namespace, pod: name.pod, port }, streams);
  }

  connect(nodeName: string, port: number, streams: ForwardStreams): CommandSession {
    return this.#node({ nodeName }).connect({ port }, streams);
  }

  logs(name: ContainerName, previous: boolean): Promise<readonly LogLine[]> {
    return this.#node(name).logs({ ...request(name), previous });
  }

  followLogs(name: ContainerName, onLines: (lines: readonly LogLine[]) => void): LogFollow {
    return this.#node(name).followLogs(request(name), onLines);
  }

  #node({ nodeName }: Pick<PodName, 'nodeName'>): NodeHandle {
    const node = this.#nodes.find((candidate) => candidate.name === nodeName);
    if (!node) throw new Error(`error dialing backend: no node "${nodeName}"`);
    return node;
  }
}

function request({ namespace, pod, container }: ContainerName): LogRequest & { container: string } {
  return { namespace, pod, container };
}
