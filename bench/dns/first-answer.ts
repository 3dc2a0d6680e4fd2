// From the change in the API to the changed answer: Services are made and removed one after the other, while a program in a Pod
// asks for each of them every two milliseconds and notes when the answer turns. Milliseconds.
import type { Service } from '../../src/api/core-v1.ts';
import { SERVICES } from '../../src/api/resources.ts';
import type { Running } from '../../src/cli/launch.ts';
import { SeededRng } from '../../src/lib/rng.ts';
import { runInPod } from '../cluster/run-in-pod.ts';

/** Argument: server, number of names. Prints the time at which each `new-N` appeared, and then that at which it went. */
const WATCHER = `
const [server, count] = process.argv.slice(1);
const socket = require('node:dgram').createSocket('udp4');
let i = 0, wanted = 0;
// The id tells what was waited for when the question was asked: late replies do not count.
const phase = () => 2 * i + (wanted === 0 ? 0 : 1);
function ask() {
  const name = 'new-' + i + '.default.svc.cluster.local';
  const labels = name.split('.').map((l) => Buffer.concat([Buffer.from([l.length]), Buffer.from(l)]));
  const head = Buffer.from([phase() >> 8, phase() & 255, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
  socket.send(Buffer.concat([head, ...labels, Buffer.from([0, 0, 1, 0, 1])]), 53, server);
}
const timer = setInterval(ask, 2);
setTimeout(() => process.exit(1), 600000);
socket.on('message', (reply) => {
  if (reply.readUInt16BE(0) !== phase() || (reply[3] & 15) !== wanted) return;
  console.log(Date.now());
  if (wanted === 0) wanted = 3;
  else { wanted = 0; i++; }
  if (i === Number(count)) { clearInterval(timer); process.exit(0); }
});
`;
/** Between a change that was seen and the next one: at random, so that they fall anywhere in what else goes on. */
const LEAST_PAUSE_MS = 20;
const PAUSES_MS = 60;
const LIMIT_MS = 60_000;
const SERVER = '10.96.0.10';

/** The times of all appearances and disappearances, sorted. Pod default/client asks. */
export async function timesToAnswer({ cluster }: Running, count: number): Promise<number[]> {
  const { client } = cluster;
  const rng = new SeededRng(count);
  const turned: number[] = [];
  let heard = (): void => {};
  const argv = ['env', '-u', 'NODE_OPTIONS', process.execPath, '-e', WATCHER, SERVER, String(count)];
  const ended = runInPod(cluster, 'default', 'client', argv, (text) => {
    turned.push(...text.trim().split('\n').map(Number));
    heard();
  });
  const times: number[] = [];
  const timed = async (change: () => Promise<unknown>): Promise<void> => {
    await new Promise((resolve) => setTimeout(resolve, LEAST_PAUSE_MS + rng.below(PAUSES_MS)));
    const seen = turned.length;
    const startMs = Date.now();
    await change();
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`change ${seen} was not seen`)), LIMIT_MS);
      heard = () => {
        if (turned.length <= seen) return;
        clearTimeout(timer);
        resolve();
      };
      heard();
    });
    times.push(turned[seen]! - startMs);
  };
  for (let i = 0; i < count; i++) {
    const name = `new-${i}`;
    const spec = { ports: [{ port: 80, protocol: 'TCP' }] };
    const made = { apiVersion: 'v1', kind: 'Service', metadata: { name, namespace: 'default' }, spec } as Service;
    await timed(() => client.create(SERVICES, made as never));
    await timed(() => client.delete(SERVICES, 'default', name));
  }
  await ended;
  return times.sort((a, b) => a - b);
}
