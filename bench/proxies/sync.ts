// How long kube-proxy's syncs take in the emulated Node and what the rules weigh: the first one, for all Services at once, and one for
// a Service with one endpoint exchanged, all over the list. Memory is the heap and the typed arrays, after a garbage collection.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { ProxyMode } from '../../src/proxy/config.ts';
import { IPPROTO_TCP } from '../../src/tcpip-ts/wire/ipv4.ts';
import { BenchNode } from '../kernel/node.ts';
import { median, quantile } from './fit.ts';

export interface SyncResult {
  readonly mode: ProxyMode;
  readonly services: number;
  readonly endpoints: number;
  readonly loadMs: number;
  readonly changeMs: { readonly median: number; readonly p99: number };
  readonly memoryMiB: number;
}

const CHANGES = 200;
const WARM_UP = 20;
const STRIDE = 7919;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

export function measureSync(mode: ProxyMode, services: number, endpoints: number): SyncResult {
  const before = memory();
  const node = new BenchNode({ services, proto: IPPROTO_TCP, mode, endpoints });
  const memoryMiB = (memory() - before - emptyNode()) / 2 ** 20;
  const changes: number[] = [];
  for (let i = 0; i < WARM_UP + CHANGES; i++) {
    const ms = node.change((i * STRIDE) % services, i + 1);
    if (i >= WARM_UP) changes.push(ms);
  }
  node.close();
  const changeMs = { median: median(changes), p99: quantile(changes, 0.99) };
  return { mode, services, endpoints, loadMs: node.syncMs, changeMs, memoryMiB };
}

let ofEmptyNode = -1;

/** What a Node weighs without Services: packet pool and connection tables. */
function emptyNode(): number {
  if (ofEmptyNode >= 0) return ofEmptyNode;
  const before = memory();
  const node = new BenchNode({ services: 0, proto: IPPROTO_TCP });
  ofEmptyNode = memory() - before;
  node.close();
  return ofEmptyNode;
}

function memory(): number {
  for (let i = 0; i < 3; i++) collect(); // buffers go a collection after their owners
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
