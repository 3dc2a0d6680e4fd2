// One emulated Node in a worker thread, as a cluster runs it: the kernel, IPVS with kube-proxy's own rules for one Service,
// and two Pods on TAPs, attached by the CNI. Started with WireConfig, says 'ready', ends when terminated.
import { parentPort, workerData } from 'node:worker_threads';
import type { Service } from '../../src/api/core-v1.ts';
import { createNetlink } from '../../src/kernel/core/netlink.ts';
import { Ipvs } from '../../src/kernel/ipvs/ipvs.ts';
import { Kernel } from '../../src/kernel/kernel.ts';
import { Breath } from '../../src/lib/breath.ts';
import { RealClock } from '../../src/lib/clock.ts';
import { SeededRng } from '../../src/lib/rng.ts';
import { loadNative, nativeMissing } from '../../src/link/native.ts';
import { TapSet } from '../../src/link/tap.ts';
import { DEFAULT_CONFIG } from '../../src/proxy/config.ts';
import type { Endpoint } from '../../src/proxy/endpoints.ts';
import { IpvsProxier } from '../../src/proxy/ipvs/proxier.ts';
import type { LocalDetector } from '../../src/proxy/local-detector.ts';
import { servicePortsOf } from '../../src/proxy/service-port.ts';
import { SkbPool } from '../../src/tcpip-ts/skb.ts';
import { ipv4, parseCIDR } from '../../src/tcpip-ts/wire/address.ts';
import { CLIENT_ADDR, GATEWAY, PORT, SERVER_ADDR, type WireConfig } from './contender.ts';

const NODE_NAME = 'bench';
const NODE_ADDR = '192.168.49.2';

function service(clusterIP: string): Service {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'iperf3', namespace: 'default' },
    spec: {
      type: 'ClusterIP',
      clusterIP,
      ports: [{ name: 'iperf3', port: PORT, protocol: 'TCP', targetPort: PORT }],
    },
  } as Service; // the rest of an object from the API matters to nobody here
}

function start(config: WireConfig): void {
  const native = loadNative();
  if (!native) throw new Error(nativeMissing());
  const clock = new RealClock();
  const rng = new SeededRng(1);
  const pool = new SkbPool();
  const breath = new Breath();
  const taps = new TapSet(native, pool, breath);
  const kernel = new Kernel({ clock, rng, pool, breath, hostname: NODE_NAME });
  const netlink = createNetlink(kernel, new Ipvs(kernel));
  kernel.addresses.add(kernel.addDevice('eth0', null, {}), ipv4(NODE_ADDR), 24);

  const pods = [
    [config.clientNetns, CLIENT_ADDR],
    [config.serverNetns, SERVER_ADDR],
  ] as const;
  pods.forEach(([netns, addr], i) => {
    const { mtu, offload } = config;
    const link = taps.open({ netnsPath: `/run/netns/${netns}`, ifname: 'eth0', mtu, offload });
    const device = kernel.addDevice(`veth${i}`, link, { mac: 0x0a_58_00_00_00_01 + i });
    kernel.addresses.add(device, ipv4(GATEWAY), 32);
    kernel.fib.add({ network: ipv4(addr), prefixLen: 32, oif: device.ifindex });
  });

  const local: LocalDetector = { kind: 'cidr', cidr: parseCIDR('10.244.0.0/16')! };
  const proxier = new IpvsProxier({
    netlink,
    clock,
    nodeName: NODE_NAME,
    config: { ...DEFAULT_CONFIG, mode: 'ipvs' },
  });
  proxier.prepare();
  const ports = servicePortsOf(service(config.vip));
  const endpoint: Endpoint = {
    addr: ipv4(config.serverAddr),
    port: PORT,
    ready: true,
    serving: true,
    terminating: false,
    local: true,
    zoneHints: [],
    nodeHints: [],
  };
  const endpoints = new Map([...ports.keys()].map((key) => [key, [endpoint]]));
  proxier.sync({ ports, endpoints, changed: ports.keys(), zone: '', nodeIP: ipv4(NODE_ADDR), local, serviceCIDRs: [] });
}

start(workerData as WireConfig);
parentPort?.postMessage('ready');
