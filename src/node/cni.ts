// A Pod's link to its Node, after the CNI plugin ptp with host-local addresses: a device of the Node with the gateway's
// address, a /32 route to the Pod through it, and on the Pod's side one /32 address, the gateway, and the default route.
// The other end of the device is a TAP in the Pod's namespace, or an in-memory wire to its userspace stack.

import type { Kernel } from '../kernel/kernel.ts';
import type { Rng } from '../lib/rng.ts';
import type { Backlog } from '../link/ring.ts';
import { ringPair } from '../link/ring.ts';
import type { TapSet } from '../link/tap.ts';
import { LINK_F_CSUM, LINK_F_TSO4, LINK_F_USO4, type Link } from '../tcpip-ts/link.ts';
import type { Mac } from '../tcpip-ts/wire/address.ts';
import type { Ipam } from './ipam.ts';

const MTU = 1500;

/** The Pod to attach; SandboxConfig fits. */
export interface PodIdentity {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  /** The address it had before the Node was started again. */
  readonly podIP?: number;
}

export interface Attachment {
  /** Addresses in host order. */
  readonly podIP: number;
  readonly gateway: number;
  readonly podMac: Mac;
  readonly mtu: number;
  /** Takes the Pod off the network and gives its address back. Idempotent. */
  readonly detach: () => void;
}

export interface CniEnv {
  readonly kernel: Kernel;
  readonly ipam: Ipam;
  readonly rng: Rng;
  readonly backlog: Backlog;
  /** Null where TAPs cannot be had: then attachTap throws. */
  readonly taps: TapSet | null;
  /** Whether TAPs carry super-segments and partial checksums. */
  readonly offload: boolean;
}

export class Cni {
  readonly #env: CniEnv;
  /** Device name to the Pod at its other end, for captures and traces. */
  readonly #pods = new Map<string, string>();

  constructor(env: CniEnv) {
    this.#env = env;
  }

  /** The Pod (`namespace/name`) behind one of the Node's devices. */
  podOfDevice(name: string): string | undefined {
    return this.#pods.get(name);
  }

  attachTap(pod: PodIdentity, netnsPath: string): Attachment {
    const { taps, offload } = this.#env;
    if (!taps) throw new Error('no TAP devices here; `podwire doctor` says what is missing');
    const podMac = this.#mac();
    const link = taps.open({ netnsPath, ifname: 'eth0', mac: podMac, mtu: MTU, offload });
    return this.#attach(pod, link, podMac);
  }

  attachRing(pod: PodIdentity): Attachment & { readonly podLink: Link } {
    const [nodeLink, podLink] = ringPair(this.#env.backlog, {
      kind: 'ether',
      mtu: MTU,
      features: this.#env.offload ? LINK_F_CSUM | LINK_F_TSO4 | LINK_F_USO4 : 0,
    });
    return { ...this.#attach(pod, nodeLink, this.#mac()), podLink };
  }

  #attach(pod: PodIdentity, link: Link, podMac: Mac): Attachment {
    const { kernel, ipam } = this.#env;
    const podIP = ipam.allocate(pod.podIP);
    const device = kernel.addDevice(deviceName(pod.uid), link, { mac: this.#mac() });
    kernel.addresses.add(device, ipam.gateway, 32);
    kernel.fib.add({ network: podIP, prefixLen: 32, oif: device.ifindex });
    this.#pods.set(device.name, `${pod.namespace}/${pod.name}`);
    let attached = true;
    const detach = (): void => {
      if (!attached) return;
      attached = false;
      kernel.removeDevice(device);
      link.close();
      ipam.release(podIP);
      this.#pods.delete(device.name);
    };
    return { podIP, gateway: ipam.gateway, podMac, mtu: MTU, detach };
  }

  /** A locally administered unicast address. */
  #mac(): Mac {
    return 0x0a_58_00_00_00_00 + this.#env.rng.u32();
  }
}

/** `veth` and eight hexadecimal digits of the Pod's uid, within the 15 characters of an interface name. */
function deviceName(uid: string): string {
  return `veth${uid.replaceAll('-', '').slice(0, 8)}`;
}
