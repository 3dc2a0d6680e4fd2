// Addresses of devices, after net/ipv4/devinet.c and the local routes that fib_frontend.c makes of them: each address is a
// LOCAL /32, the network it names an on-link route (unless the device is a dummy without traffic, or the prefix is /32), its
// last address a BROADCAST route. The same address may stand on several devices (the gateway of every Pod's device): it
// stays local until the last of them loses it.
import { netmask } from '../../tcpip-ts/wire/address.ts';
import type { Devices, NetDevice } from '../core/device.ts';
import { type Fib, RTN_BROADCAST, RTN_LOCAL, RTN_UNICAST } from './fib.ts';

export interface DeviceAddress {
  readonly device: NetDevice;
  readonly addr: number;
  readonly prefixLen: number;
}

export class Addresses {
  readonly #fib: Fib;
  readonly #devices: Devices;
  /** By address; nearly always one entry. */
  readonly #byAddr = new Map<number, DeviceAddress[]>();
  /** By ifindex, in the order given. */
  readonly #byDevice = new Map<number, DeviceAddress[]>();

  constructor(fib: Fib, devices: Devices) {
    this.#fib = fib;
    this.#devices = devices;
  }

  /** Throws EEXIST when the device has the address. */
  add(device: NetDevice, addr: number, prefixLen: number): void {
    const onDevice = this.#byDevice.get(device.ifindex) ?? [];
    if (this.isOn(device.ifindex, addr)) throw new Error(`address on ${device.name}: EEXIST`);
    const entry: DeviceAddress = { device, addr, prefixLen };
    onDevice.push(entry);
    this.#byDevice.set(device.ifindex, onDevice);
    const same = this.#byAddr.get(addr);
    if (same) same.push(entry);
    else {
      this.#byAddr.set(addr, [entry]);
      this.#fib.add({ network: addr, prefixLen: 32, type: RTN_LOCAL, oif: device.ifindex, prefsrc: addr });
    }
    if (prefixLen >= 31 || device.kind === 'dummy') return;
    if (device.kind === 'loopback') {
      this.#fib.add({ network: addr, prefixLen, type: RTN_LOCAL, oif: device.ifindex, prefsrc: addr });
      return;
    }
    this.#fib.add({ network: addr, prefixLen, type: RTN_UNICAST, oif: device.ifindex, prefsrc: addr });
    const last = (addr | ~netmask(prefixLen)) >>> 0;
    this.#fib.add({ network: last, prefixLen: 32, type: RTN_BROADCAST, oif: device.ifindex, prefsrc: addr });
  }

  /** Whether the device had it. */
  remove(device: NetDevice, addr: number): boolean {
    const onDevice = this.#byDevice.get(device.ifindex);
    const i = onDevice?.findIndex((e) => e.addr === addr) ?? -1;
    if (!onDevice || i < 0) return false;
    const [entry] = onDevice.splice(i, 1);
    const left = this.#byAddr.get(addr)!.filter((e) => e !== entry);
    if (left.length > 0) {
      this.#byAddr.set(addr, left);
      this.#fib.add({ network: addr, prefixLen: 32, type: RTN_LOCAL, oif: left[0]!.device.ifindex, prefsrc: addr });
    } else {
      this.#byAddr.delete(addr);
      this.#fib.remove(addr, 32, RTN_LOCAL);
    }
    const { prefixLen } = entry!;
    const network = (addr & netmask(prefixLen)) >>> 0;
    const sharesNetwork = onDevice.some(
      (e) => e.prefixLen === prefixLen && (e.addr & netmask(prefixLen)) >>> 0 === network,
    );
    if (prefixLen < 31 && device.kind !== 'dummy' && !sharesNetwork) {
      this.#fib.remove(network, prefixLen, device.kind === 'loopback' ? RTN_LOCAL : RTN_UNICAST);
      this.#fib.remove((network | ~netmask(prefixLen)) >>> 0, 32, RTN_BROADCAST);
    }
    return true;
  }

  removeDevice(device: NetDevice): void {
    for (const { addr } of [...(this.#byDevice.get(device.ifindex) ?? [])]) this.remove(device, addr);
    this.#byDevice.delete(device.ifindex);
  }

  /** Whether the device itself has the address: what arp_ignore=1 asks. */
  isOn(ifindex: number, addr: number): boolean {
    return this.#byAddr.get(addr)?.some((e) => e.device.ifindex === ifindex) ?? false;
  }

  /** The device's first address, 0 without one. */
  primary(ifindex: number): number {
    return this.#byDevice.get(ifindex)?.[0]?.addr ?? 0;
  }

  /**
   * The source to use towards `dst` on a device (inet_select_addr): its address in dst's network, else its first, else the first
   * of any device but lo and dummies; 0 if there is none.
   */
  select(ifindex: number, dst: number): number {
    const onDevice = this.#byDevice.get(ifindex);
    if (onDevice !== undefined && onDevice.length > 0) {
      for (let i = 0; i < onDevice.length; i++) {
        const mask = netmask(onDevice[i]!.prefixLen);
        if (((onDevice[i]!.addr ^ dst) & mask) === 0) return onDevice[i]!.addr;
      }
      return onDevice[0]!.addr;
    }
    for (const device of this.#devices.list()) {
      const addr = device.kind === 'loopback' || device.kind === 'dummy' ? 0 : this.primary(device.ifindex);
      if (addr !== 0) return addr;
    }
    return 0;
  }

  list(device?: NetDevice): DeviceAddress[] {
    if (device) return [...(this.#byDevice.get(device.ifindex) ?? [])];
    return [...this.#byDevice.values()].flat();
  }
}
