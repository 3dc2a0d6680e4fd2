// The native addon (native/addon.c) as TypeScript sees it, loaded when first asked for. It is built by npm's install step
// where a compiler is at hand; without it there are no TAPs, and everything else works.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { Mac } from '../tcpip-ts/wire/address.ts';

/** Offloads of TUNSETOFFLOAD (linux/if_tun.h): what the Pod's kernel may leave to us. */
export const TUN_F_CSUM = 0x01;
export const TUN_F_TSO4 = 0x02;
/** The kernel takes these two only together (6.2 and later; drivers/net/tun.c, set_offload). */
export const TUN_F_USO4 = 0x20;
export const TUN_F_USO6 = 0x40;

declare const tapSet: unique symbol;
/** An epoll set of TAPs, watched by this thread's event loop. */
export type NativeSet = { readonly [tapSet]: true };

export interface OpenedTap {
  /** Index of the TAP in its set; used again after closeTap. */
  readonly port: number;
  readonly ifname: string;
  /** Of the device inside the namespace. */
  readonly mac: Mac;
  /** TUN_F_* that the kernel accepted. */
  readonly offloads: number;
}

/**
 * Failures throw an Error with `code` (errno name), `errno`, `syscall`, `path` and a message such as
 * `TUNSETIFF tap0: EPERM; needs CAP_NET_ADMIN`. Batches do not throw.
 */
export interface Native {
  /**
   * `rx` holds three columns (ids, lens, ports), `tx` four (ids, starts, lens, ports), each as long as a batch. `arena` must
   * not be transferred while the set is open. `onReadable` runs from the event loop while any TAP has packets to read.
   * An open set keeps the event loop alive; it closes with its thread.
   */
  createSet(
    arena: ArrayBuffer,
    slotSize: number,
    rxOffset: number,
    rx: Int32Array,
    tx: Int32Array,
    onReadable: () => void,
  ): NativeSet;
  /** Closes the set and destroys its TAPs. Closing twice is fine. */
  closeSet(set: NativeSet): void;
  /** Makes a TAP, up, with a virtio_net_hdr of 10 little-endian bytes, in the namespace at `netnsPath` (null: this one). */
  openTap(
    set: NativeSet,
    netnsPath: string | null,
    ifname: string,
    mac: Mac,
    mtu: number,
    txQueueLen: number,
    offloads: number,
  ): OpenedTap;
  /** Frees the port at once; the device is destroyed on another thread (it waits for an RCU grace period). */
  closeTap(set: NativeSet, port: number): void;
  /** Reads up to `max` packets into the slots rx.ids; fills lens and ports. A len below 0 is -errno: that TAP is gone. */
  readBatch(set: NativeSet, max: number): number;
  /** Reads and throws away up to `max` packets. */
  discardBatch(set: NativeSet, max: number): number;
  /** Writes tx[0, count); lens become 0 or the errno that lost the packet. Returns how many were lost. */
  writeBatch(set: NativeSet, count: number): number;
}

// From dist/src/link and from src/link.
const PLACES = ['../../../build/Release/', '../../build/Release/'];

let loaded: Native | undefined;
let reason: string | undefined;

/** The addon, or undefined: then nativeMissing() says why. Loads it once a thread. */
export function loadNative(): Native | undefined {
  if (loaded || reason) return loaded;
  const file = nativeFile('podwire.node');
  if (!file) {
    reason = 'the TAP addon is not built; needs a C compiler, make and python3, then: node scripts/build-addon.mjs';
    return undefined;
  }
  try {
    loaded = createRequire(import.meta.url)(file) as Native;
  } catch (error) {
    reason = `the TAP addon does not load: ${error instanceof Error ? error.message : String(error)}`;
  }
  return loaded;
}

/** Why loadNative() returned undefined; undefined when it has not, or was not asked. */
export function nativeMissing(): string | undefined {
  return reason;
}

/** Path of something that binding.gyp builds (`podwire.node`, `pod-init`), undefined when it is not there. */
export function nativeFile(name: string): string | undefined {
  return PLACES.map((place) => fileURLToPath(new URL(place + name, import.meta.url))).find((file) => existsSync(file));
}
