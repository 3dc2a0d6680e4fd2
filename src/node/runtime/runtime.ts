// The seam between the kubelet and what really runs Pods, after the Kubernetes CRI: a sandbox holds the Pod's network, files
// and hostname; processes run inside it. Two kinds: netns.ts (host processes in namespaces) and userspace.ts (Programs on an
// @tcpip-ts stack). A Pod's RuntimeClass names the kind.
import type { Duplex, Readable, Writable } from 'node:stream';

export interface SandboxConfig {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly hostname: string;
  /** The address to have again, if it was reserved; host order. */
  readonly podIP?: number;
  /** Absolute path to text: resolv.conf, hosts, hostname, and the files of mounted volumes. */
  readonly files: ReadonlyMap<string, string>;
}

export interface ProcessIo {
  /** Null: reads end-of-file at once. */
  readonly stdin: Readable | null;
  readonly stdout: Writable;
  /** With a terminal everything goes to stdout, as a terminal has one screen. */
  readonly stderr: Writable;
  readonly tty: boolean;
}

export interface ProcessConfig {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly io: ProcessIo;
}

/** How a process ended: its code, or 128 + the number of the signal that killed it. */
export interface ExitStatus {
  readonly code: number;
}

export interface RunningProcess {
  /** Settles once the process has ended and its output is written. Never rejects. */
  readonly exit: Promise<ExitStatus>;
  /** SIGKILL ends the process and what it started. */
  signal(name: 'SIGTERM' | 'SIGINT' | 'SIGKILL'): void;
  /** Terminal size in characters; nothing without a terminal. */
  resize(columns: number, rows: number): void;
}

export interface Sandbox {
  /** Host order. */
  readonly podIP: number;
  /** Starts a process. Rejects when it cannot be started at all. */
  run(config: ProcessConfig): Promise<RunningProcess>;
  /** A connection to a port on the loopback address. Rejects, as containerd words it, when nothing listens there. */
  connect(port: number): Promise<Duplex>;
  /** Replaces the text of one of the configured files, visible to running processes. */
  updateFile(path: string, text: string): void;
  /** Ends every process, gives the address back, leaves nothing behind. Idempotent. */
  close(): Promise<void>;
}

export interface Runtime {
  /** The RuntimeClass handler: `netns` or `userspace`. */
  readonly handler: string;
  create(config: SandboxConfig): Promise<Sandbox>;
}

/** After containerd's portForward (internal/cri/server/podsandbox/sandbox_portforward_linux.go). */
export function connectError({ uid }: SandboxConfig, netns: string, port: number, ipv4: string, ipv6: string): Error {
  return new Error(
    `failed to execute portforward in network namespace "${netns}": failed to connect to localhost:${port} inside namespace ` +
      `"${uid.replaceAll('-', '')}", IPv4: dial tcp4 127.0.0.1:${port}: connect: ${ipv4} IPv6 dial tcp6 [::1]:${port}: connect: ${ipv6} `,
  );
}
