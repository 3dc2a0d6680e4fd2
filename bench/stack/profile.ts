// What a piece of work costs by stage: V8's sampling profiler, self time by source file.
import { Session } from 'node:inspector/promises';

/** Source files of a stage; the first that matches counts. */
const STAGES: readonly [string, RegExp][] = [
  ['checksum', /wire\/checksum/],
  ['copies', /tcp\/(copy|send-buffer|receive-buffer|buffer-pool)/],
  ['TCP input', /tcp\/(input|ack|receive|options|demux|recovery|rack|rto|newreno)\.|tcp-layer/],
  ['TCP output', /tcp\/(output|transmit|emit|retransmit|mss|segment-table|timers|timeouts)|timer-wheel/],
  ['application calls', /tcp\/connection/],
  ['IP and ARP', /tcpip-ts\/(ip|arp)\//],
  ['headers', /tcpip-ts\/wire\//],
  ['link and packet pool', /link-pair|skb|bench\/stack/],
  ['clock', /lib\/clock|perf/],
];

/** Nanoseconds of self time by stage while `work` ran, garbage collection and native code (copies of typed arrays) named. */
export async function timeByStage(work: () => void): Promise<Map<string, number>> {
  const session = new Session();
  session.connect();
  await session.post('Profiler.enable');
  await session.post('Profiler.setSamplingInterval', { interval: 200 });
  await session.post('Profiler.start');
  work();
  const { profile } = await session.post('Profiler.stop');
  session.disconnect();
  const stageOf = new Map<number, string>();
  for (const node of profile.nodes) {
    const { url, functionName } = node.callFrame;
    const stage =
      functionName === '(garbage collector)' ? 'garbage collection' : STAGES.find(([, files]) => files.test(url))?.[0];
    stageOf.set(node.id, stage ?? 'the rest');
  }
  const sums = new Map<string, number>();
  profile.samples!.forEach((id, i) => {
    const stage = stageOf.get(id)!;
    sums.set(stage, (sums.get(stage) ?? 0) + Math.max(0, profile.timeDeltas![i]!) * 1000);
  });
  return sums;
}
