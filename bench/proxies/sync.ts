// How long kube-proxy's syncs take in the emulated Node and what the rules weigh: the first one, for all Services at once, and one for
// a Service with one endpoint exchanged, all over the list. Memory is the heap and the typed arrays, after a garbage collection. Each is
// measured in a thread, and so in a heap, of its own.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
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

/** MiB: more than V8 would take by itself. */
const HEAP = 8192;

interface Task {
  readonly mode: ProxyMode;
  readonly services: number;
  readonly endpoints: number;
}

export function measureSync(mode: ProxyMode, services: number, endpoints: number): Promise<SyncResult> {
  const task: Task = { mode, services, endpoints };
  const resourceLimits = { maxOldGenerationSizeMb: HEAP };
  const worker = new Worker(new URL(import.meta.url), { workerData: task, resourceLimits });
  return new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

function measure({ mode, services, endpoints }: Task): SyncResult {
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

if (!isMainThread && parentPort) parentPort.postMessage(measure(workerData as Task));
