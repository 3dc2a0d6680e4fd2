// One Node, put together: its kernel and devices, its own sockets, kube-proxy, kubelet with both runtimes. Runs in any thread
// that has a clock and an API client; a worker thread in a real cluster, the test's own thread on a virtual clock.
import { statfsSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { formatTime } from '../api/time.ts';
import { Capture, type CaptureNames, TapList } from '../capture/capture.ts';
import type { ApiClient } from '../client/client.ts';
import { EventRecorder } from '../controller/events.ts';
import { type LiveHop, LiveTraces } from '../kernel/core/live-trace.ts';
import { createNetlink } from '../kernel/core/netlink.ts';
import { Ipvs } from '../kernel/ipvs/ipvs.ts';
import { Kernel } from '../kernel/kernel.ts';
import { kernelNet } from '../kernel/what-if/kernel-net.ts';
import type { TraceAnswer, TraceQuestion } from '../kernel/what-if/types.ts';
import { explain, flowOf } from '../kernel/what-if/what-if.ts';
import { Breath } from '../lib/breath.ts';
import { type Clock, RealClock } from '../lib/clock.ts';
import type { Rng } from '../lib/rng.ts';
import { loadNative, nativeFile } from '../link/native.ts';
import { Backlog } from '../link/ring.ts';
import { TapSet } from '../link/tap.ts';
import { Cni } from '../node/cni.ts';
import type { LogLine } from '../node/container-log.ts';
import { ImageCatalog } from '../node/images.ts';
import { Ipam } from '../node/ipam.ts';
import { Kubelet } from '../node/kubelet/kubelet.ts';
import { type Machine, nodeObject } from '../node/kubelet/node-object.ts';
import { probeActions } from '../node/probe-actions.ts';
import { NetnsRuntime } from '../node/runtime/netns.ts';
import type { Runtime } from '../node/runtime/runtime.ts';
import { UserspaceRuntime } from '../node/runtime/userspace.ts';
import { KubeProxy } from '../proxy/kube-proxy.ts';
import { SkbPool } from '../tcpip-ts/skb.ts';
import { Stack } from '../tcpip-ts/stack.ts';
import { ipv4, parseCIDR } from '../tcpip-ts/wire/address.ts';
import { relayApi, type Upstream } from './api-relay.ts';
import { captureFilter } from './capture-filter.ts';
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
} from './node-handle.ts';
import { connectLocally, serveHttp } from './node-http.ts';
import { NodeNames } from './node-names.ts';
import { podRuntime } from './pod-runtime.ts';
import { PROGRAMS } from './programs.ts';
import { initialProxyConfig, ProxyConfigWatch } from './proxy-config.ts';
import { RULES_FORMATS, rulesOf } from './rules-text.ts';
import type { ClusterSettings, NodeSettings } from './settings.ts';
import { connectUplink } from './uplink.ts';

/** 64 KiB each, but memory is touched only as they are used, and those freed last are used first. */
const POOL_SLOTS = 4096;

const LAST_WORDS_US = 1_000_000;

export interface EmulatedNodeEnv {
  readonly client: ApiClient;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly settings: ClusterSettings;
  readonly node: NodeSettings;
  readonly onError: (error: unknown) => void;
}

export class EmulatedNode implements NodeHandle {
  readonly name: string;
  readonly kernel: Kernel;
  readonly #env: EmulatedNodeEnv;
  readonly #taps: TapSet | null;
  readonly #backlog: Backlog;
  readonly #stack: Stack;
  readonly #ipvs: Ipvs;
  readonly #cni: Cni;
  readonly #kubelet: Kubelet;
  readonly #proxy: KubeProxy;
  readonly #proxyConfig: ProxyConfigWatch;
  readonly #names: NodeNames;
  readonly #tapList: TapList;
  readonly #captures = new Set<CaptureSession>();
  readonly #liveTraces: LiveTraces;
  readonly #closeUplink: () => void;

  constructor(env: EmulatedNodeEnv) {
    const { client, clock, rng, settings, node, onError } = env;
    this.#env = env;
    this.name = node.name;
    const address = ipv4(node.address);
    const pool = new SkbPool(POOL_SLOTS);
    const breath = new Breath(clock instanceof RealClock ? setImmediate : (fn) => clock.after(0, fn));
    this.#backlog = new Backlog(breath);
    const native = settings.defaultRuntime === 'netns' ? loadNative() : undefined;
    this.#taps = native ? new TapSet(native, pool, breath) : null;

    const kernelEnv = { clock, rng, pool, breath, hostname: node.name };
    this.kernel = new Kernel(kernelEnv);
    this.#closeUplink = connectUplink(this.kernel, kernelEnv, { address, podCIDR: node.podCIDR });
    this.#liveTraces = new LiveTraces(this.kernel.trace, this.kernel);
    this.#ipvs = new Ipvs(this.kernel);
    const netlink = createNetlink(this.kernel, this.#ipvs);
    this.#stack = new Stack({ clock, rng, pool });
    this.#stack.addInterface(this.kernel.localLink(), { addr: address, prefixLen: 32, anyAddress: true });
    this.#stack.addRoute(0, 0, 0, 1);

    const ipam = new Ipam(node.podCIDR);
    this.#cni = new Cni({
      kernel: this.kernel,
      ipam,
      rng,
      backlog: this.#backlog,
      taps: this.#taps,
      offload: settings.offload,
    });
    this.#tapList = new TapList(this.kernel.devices, this.kernel.drops);
    this.#names = new NodeNames({ client, clock, onError }, fixedNames(settings), (device) =>
      this.#cni.podOfDevice(device),
    );
    this.#proxy = new KubeProxy({
      client,
      netlink,
      clock,
      nodeName: node.name,
      config: initialProxyConfig(settings),
      listen: (at, answer) => serveHttp(this.#stack, at, answer, onError),
      serviceCIDRs: [parseCIDR(settings.serviceCIDR)!],
      onError,
    });
    const images = new ImageCatalog(settings.images);
    const registered = nodeObject(node, machine(), images, formatTime(clock.unixMs()));
    const runtimes = this.#runtimes(pool);
    const recorder = new EventRecorder({ client, clock, rng, onError }, 'kubelet', node.name);
    const proxyRecorder = new EventRecorder({ client, clock, rng, onError }, 'kube-proxy', node.name);
    this.#proxyConfig = new ProxyConfigWatch({
      client,
      clock,
      proxy: this.#proxy,
      event: (about, type, reason, message) => proxyRecorder.event(about, type, reason, message),
      onError,
    });
    this.#kubelet = new Kubelet({
      client,
      clock,
      images,
      node: registered,
      allocatable: registered.status!.allocatable!,
      hostIP: node.address,
      dns: { clusterDNS: settings.clusterDNS, clusterDomain: settings.clusterDomain, host: settings.hostResolvConf },
      runtimeOf: (pod) => podRuntime(pod, runtimes, settings.defaultRuntime, images),
      reservePodIP: (addr) => ipam.reserve(addr),
      probes: (podIP, sandbox) => probeActions(this.#stack, clock, podIP, sandbox),
      event: (object, type, reason, message, fieldPath) => recorder.event(object, type, reason, message, fieldPath),
      onError,
    });
  }

  async start(): Promise<void> {
    await this.#proxyConfig.start();
    await this.#proxy.start();
    await this.#names.start();
    await this.#kubelet.start();
  }

  exec(request: ExecRequest, streams: ExecStreams): ExecSession {
    const { namespace, pod, container, argv, tty } = request;
    const process = this.#kubelet.exec(namespace, pod, container, argv, { ...streams, tty });
    return {
      exit: process.then((p) => p.exit).then(({ code }) => code),
      resize: (columns, rows) => void process.then((p) => p.resize(columns, rows)).catch(() => {}),
      kill: () => void process.then((p) => p.signal('SIGKILL')).catch(() => {}),
    };
  }

  attach({ namespace, pod, container }: AttachRequest, streams: ExecStreams): ExecSession {
    const joined = this.#kubelet.attach(namespace, pod, container, streams);
    return {
      exit: joined.exit.then(({ code }) => code),
      resize: (columns, rows) => joined.resize(columns, rows),
      kill: () => joined.signal('SIGKILL'),
    };
  }

  portForward({ namespace, pod, port }: PortForwardRequest, streams: PortForwardStreams): ExecSession {
    return this.#join(this.#kubelet.connect(namespace, pod, port), streams);
  }

  connect({ port }: ConnectRequest, streams: PortForwardStreams): ExecSession {
    return this.#join(connectLocally(this.#stack, this.#env.node.address, port), streams);
  }

  #join(connected: Promise<Duplex>, { stdin, stdout }: PortForwardStreams): ExecSession {
    return {
      exit: connected.then(async (socket) => {
        // As containerd: once the Pod has ended, the client has a second to. Deviation: when the client ends first, the Pod has all the
        // time it wants to answer. What one side breaks off ends the other way, too, and is no failure of the forwarding.
        const toPod = pipeline(stdin, socket).catch(() => {});
        await pipeline(socket, stdout).catch(() => {});
        await Promise.race([toPod, new Promise<void>((resolve) => this.#env.clock.after(LAST_WORDS_US, resolve))]);
        socket.destroy();
        return 0;
      }),
      resize: () => {},
      kill: () => void connected.then((socket) => socket.destroy()).catch(() => {}),
    };
  }

  async logs({ namespace, pod, container, previous = false }: LogRequest): Promise<readonly LogLine[]> {
    return this.#kubelet.logOf(namespace, pod, container, previous).lines();
  }

  followLogs({ namespace, pod, container }: LogRequest, onLines: (lines: readonly LogLine[]) => void): LogFollow {
    const log = this.#kubelet.logOf(namespace, pod, container, false);
    onLines(log.lines());
    let end = (): void => {};
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    const unfollow = log.follow((line) => onLines([line]), end);
    return {
      ended,
      stop: () => {
        unfollow();
        end();
      },
    };
  }

  async capture(request: CaptureRequest, sink: (bytes: Uint8Array) => void): Promise<CaptureSession> {
    const filter = captureFilter(request, this.#proxy, this.kernel);
    const names: CaptureNames = this.#names;
    const capture = new Capture(
      { nodeName: this.name, devices: this.kernel.devices, taps: this.#tapList, clock: this.#env.clock, names },
      { pods: request.pods, filter, dropped: request.dropped ?? false, sink },
    );
    const session: CaptureSession = {
      stop: async () => {
        this.#captures.delete(session);
        capture.stop();
      },
    };
    this.#captures.add(session);
    return session;
  }

  async trace(question: TraceQuestion): Promise<TraceAnswer> {
    return explain({ net: kernelNet(this.kernel, this.#ipvs), nodeName: this.name }, question);
  }

  async follow(question: TraceQuestion, tell: (hop: LiveHop) => void): Promise<CaptureSession> {
    const { saddr, sport, daddr, dport, proto } = flowOf(question);
    const flow = { saddr: Number(saddr), sport, daddr: Number(daddr), dport, proto };
    const stop = this.#liveTraces.follow(flow, tell);
    return { stop: async () => stop() };
  }

  async rules(format = RULES_FORMATS[this.#proxy.mode]): Promise<string> {
    return rulesOf(this.kernel, this.#ipvs, format);
  }

  relayApi(upstream: Upstream): Promise<void> {
    return relayApi(this.#stack, upstream);
  }

  async status(): Promise<NodeStatus> {
    const devices = this.kernel.devices.list();
    return {
      name: this.name,
      proxyMode: this.#proxy.mode,
      pods: this.#kubelet.podCount,
      rxPackets: devices.reduce((sum, d) => sum + d.rxPackets, 0),
      txPackets: devices.reduce((sum, d) => sum + d.txPackets, 0),
      drops: this.kernel.drops.snapshot(),
      conntrack: this.kernel.conntrack.count,
      rssBytes: process.memoryUsage.rss(),
    };
  }

  async close(): Promise<void> {
    for (const capture of this.#captures) await capture.stop();
    this.#proxyConfig.close();
    this.#proxy.close();
    await this.#kubelet.close();
    this.#names.close();
    this.#stack.close();
    this.#ipvs.close();
    this.#closeUplink();
    this.kernel.close();
    this.#taps?.close();
    this.#backlog.close();
  }

  #runtimes(pool: SkbPool): ReadonlyMap<string, Runtime> {
    const { client, clock, rng, settings } = this.#env;
    const runtimes = new Map<string, Runtime>();
    runtimes.set(
      'userspace',
      new UserspaceRuntime({ clock, rng, pool, cni: this.#cni, programs: PROGRAMS, api: client }),
    );
    const podInit = nativeFile('pod-init');
    if (this.#taps && podInit) {
      const { stateDir, netnsPrefix } = settings;
      runtimes.set('netns', new NetnsRuntime({ cni: this.#cni, podInit, stateDir, netnsPrefix }));
    }
    return runtimes;
  }
}

function fixedNames(settings: ClusterSettings): readonly (readonly [number, string])[] {
  return settings.nodes.map((n) => [ipv4(n.address), n.name] as const);
}

/** What the host gives the Node: nobody else shares it here. */
function machine(): Machine {
  const { blocks, bsize } = statfsSync('/');
  return {
    cpus: cpus().length,
    memoryBytes: totalmem(),
    diskBytes: blocks * bsize,
    kernelVersion: release(),
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
  };
}
