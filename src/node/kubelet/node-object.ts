// The Node object a kubelet registers and keeps up to date: addresses, capacity, conditions, what it runs on. After
// pkg/kubelet/nodestatus/setters.go and pkg/kubelet/kubelet_node_status.go (1.32). Pure.
// Deviation: `pods` is what the Node's podCIDR has room for, not 110; the machine's IDs are made from the Node's name, so that
// nothing of the host is told.
import { createHash } from 'node:crypto';
import type { Node } from '../../api/core-v1.ts';
import type { Condition } from '../../api/meta.ts';
import type { ImageCatalog } from '../images.ts';

export interface Machine {
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly diskBytes: number;
  /** As `uname -r`. */
  readonly kernelVersion: string;
  /** As Go calls it: amd64, arm64. */
  readonly architecture: string;
}

export interface NodePlace {
  readonly name: string;
  readonly address: string;
  readonly podCIDR: string;
}

/** evictionHard memory.available, which is kept from Pods. */
const RESERVED_MEMORY = 100 << 20;
/** evictionHard nodefs.available 10%. */
const ALLOCATABLE_DISK = 0.9;
const MAX_IMAGES = 50;
const RESERVED_ADDRESSES = 3; // network, gateway, broadcast

const HEALTHY: readonly (readonly [type: string, status: 'True' | 'False', reason: string, message: string])[] = [
  ['MemoryPressure', 'False', 'KubeletHasSufficientMemory', 'kubelet has sufficient memory available'],
  ['DiskPressure', 'False', 'KubeletHasNoDiskPressure', 'kubelet has no disk pressure'],
  ['PIDPressure', 'False', 'KubeletHasSufficientPID', 'kubelet has sufficient PID available'],
  ['Ready', 'True', 'KubeletReady', 'kubelet is posting ready status'],
];

export function nodeObject(place: NodePlace, machine: Machine, images: ImageCatalog, now: string): Node {
  const { name, address, podCIDR } = place;
  const { architecture } = machine;
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name,
      labels: {
        'beta.kubernetes.io/arch': architecture,
        'beta.kubernetes.io/os': 'linux',
        'kubernetes.io/arch': architecture,
        'kubernetes.io/hostname': name,
        'kubernetes.io/os': 'linux',
      },
    },
    spec: { podCIDR, podCIDRs: [podCIDR] },
    status: {
      addresses: [
        { type: 'InternalIP', address },
        { type: 'Hostname', address: name },
      ],
      conditions: nodeConditions([], now),
      ...resources(machine, podCIDR),
      nodeInfo: {
        machineID: hexId(name),
        systemUUID: uuid(name),
        bootID: uuid(`${name} ${now}`),
        kernelVersion: machine.kernelVersion,
        osImage: 'Podwire',
        containerRuntimeVersion: 'podwire://0.1.0',
        kubeletVersion: 'v1.35.0',
        kubeProxyVersion: '',
        operatingSystem: 'linux',
        architecture,
      },
      images: images
        .names()
        .slice(0, MAX_IMAGES)
        .map((image) => ({ names: [images.idOf(image), image], sizeBytes: images.sizeOf(image) })),
    },
  };
}

/** Healthy; the time of the last change stays while the status does. */
export function nodeConditions(before: readonly Condition[], now: string): Condition[] {
  return HEALTHY.map(([type, status, reason, message]) => {
    const old = before.find((condition) => condition.type === type);
    const lastTransitionTime = old?.status === status ? (old.lastTransitionTime ?? now) : now;
    return { type, status, lastHeartbeatTime: now, lastTransitionTime, reason, message };
  });
}

function resources(
  { cpus, memoryBytes, diskBytes }: Machine,
  podCIDR: string,
): { capacity: Record<string, string>; allocatable: Record<string, string> } {
  const pods = String(2 ** (32 - Number(podCIDR.split('/')[1])) - RESERVED_ADDRESSES);
  const kibi = (bytes: number) => `${Math.floor(bytes / 1024)}Ki`;
  const fixed = { 'hugepages-1Gi': '0', 'hugepages-2Mi': '0', pods };
  return {
    capacity: { cpu: String(cpus), 'ephemeral-storage': kibi(diskBytes), ...fixed, memory: kibi(memoryBytes) },
    allocatable: {
      cpu: String(cpus),
      'ephemeral-storage': String(Math.floor(diskBytes * ALLOCATABLE_DISK)),
      ...fixed,
      memory: kibi(memoryBytes - RESERVED_MEMORY),
    },
  };
}

function uuid(text: string): string {
  return hexId(text).replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

function hexId(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 32);
}
