// The virtual services of a host, found by what a packet carries: open addressing over the services' own rows, at most two thirds
// full, deletion by shifting back. A row is half a line of the processor's cache, and a look-up that finds its service at the first
// place, as most do, touches nothing else: with chains, a first packet among thousands of Services found the head cold, too.
import { IPPROTO_TCP } from '../../tcpip-ts/wire/ipv4.ts';
import { lineAligned } from '../core/cache-line.ts';
import { NONE, SVC_ADDR, SVC_KEY, SVC_ROW } from './rows.ts';
import type { VirtualService } from './service.ts';

export const FTPDATA = 20;
export const FTPPORT = 21;
/** Ports from here on are anybody's (sysctl ip_unprivileged_port_start). */
const PROT_SOCK = 1024;

const GOLDEN_RATIO_32 = 0x61c88647;
const MIN_ROWS = 32;

export class ServiceTable {
  /** Row after row; where the key is 0 there is no service. */
  words = lineAligned(MIN_ROWS * SVC_ROW);
  readonly #services = new Set<VirtualService>();
  /** By row. */
  #at: (VirtualService | undefined)[] = new Array(MIN_ROWS);
  #mask = MIN_ROWS - 1;
  /** Services that take packets of other ports than their own: FTP's (its data), and those of port zero (all). */
  #anyPort = 0;

  get size(): number {
    return this.#services.size;
  }

  /** The row, or NONE; `addr` is a word, signed or not. Allocates nothing. */
  find(proto: number, addr: number, port: number): number {
    addr |= 0;
    const key = (proto << 16) | port;
    const { words } = this;
    for (let row = this.#home(addr, key); ; row = (row + 1) & this.#mask) {
      const there = words[row * SVC_ROW + SVC_KEY]!;
      if (there === key && words[row * SVC_ROW + SVC_ADDR] === addr) return row;
      if (there === 0) return NONE;
    }
  }

  /**
   * The service that takes packets of a port that has none: FTP's, where they may be data of it, else the service of port zero
   * (ip_vs_service_find). The row, or NONE.
   */
  findAnyPort(proto: number, addr: number, port: number): number {
    if (this.#anyPort === 0) return NONE;
    if (proto === IPPROTO_TCP && (port === FTPDATA || port >= PROT_SOCK)) {
      const row = this.find(proto, addr, FTPPORT);
      if (row !== NONE) return row;
    }
    return this.find(proto, addr, 0);
  }

  /** The service of a row. */
  at(row: number): VirtualService {
    return this.#at[row]!;
  }

  lookup(proto: number, addr: number, port: number): VirtualService | undefined {
    const row = this.find(proto, addr, port);
    return row === NONE ? undefined : this.#at[row];
  }

  add(svc: VirtualService): void {
    if ((this.size + 1) * 3 > (this.#mask + 1) * 2) this.#grow();
    this.#services.add(svc);
    this.#insert(svc);
    if (takesOtherPorts(svc)) this.#anyPort++;
  }

  delete(svc: VirtualService): void {
    if (!this.#services.delete(svc)) return;
    let hole = svc.at / SVC_ROW;
    takeOut(svc);
    for (let row = (hole + 1) & this.#mask; this.#at[row]; row = (row + 1) & this.#mask) {
      const home = this.#home(this.words[row * SVC_ROW + SVC_ADDR]!, this.words[row * SVC_ROW + SVC_KEY]!);
      if (((row - home) & this.#mask) < ((row - hole) & this.#mask)) continue;
      this.#place(this.#at[row]!, hole);
      hole = row;
    }
    this.words[hole * SVC_ROW + SVC_KEY] = 0;
    this.#at[hole] = undefined;
    if (takesOtherPorts(svc)) this.#anyPort--;
  }

  /** As they were added. */
  [Symbol.iterator](): IterableIterator<VirtualService> {
    return this.#services.values();
  }

  #home(addr: number, key: number): number {
    return Math.imul(addr ^ Math.imul(key, 0x9e3779b1), GOLDEN_RATIO_32) >>> Math.clz32(this.#mask);
  }

  #insert(svc: VirtualService): void {
    let row = this.#home(svc.words[svc.at + SVC_ADDR]!, svc.words[svc.at + SVC_KEY]!);
    while (this.#at[row]) row = (row + 1) & this.#mask;
    this.#place(svc, row);
  }

  #place(svc: VirtualService, row: number): void {
    svc.moveTo(this, row * SVC_ROW);
    this.#at[row] = svc;
  }

  #grow(): void {
    for (const svc of this.#services) takeOut(svc);
    const rows = (this.#mask + 1) * 2;
    this.words = lineAligned(rows * SVC_ROW);
    this.#at = new Array(rows);
    this.#mask = rows - 1;
    for (const svc of this.#services) this.#insert(svc);
  }
}

/** Gives a service a row of its own. */
function takeOut(svc: VirtualService): void {
  svc.moveTo({ words: new Int32Array(SVC_ROW) }, 0);
}

function takesOtherPorts(svc: VirtualService): boolean {
  return svc.port === FTPPORT || svc.port === 0;
}
