// `loop`: at start, asks its own chain for a random HINFO name; if an upstream sends that question back to us, and again, the
// questions run in a circle and the server ends with an error (CoreDNS plugin/loop).
// Deviation: CoreDNS sends the question to its own port over UDP, we hand it to the chain; and where nothing is forwarded we
// do not ask at all.
import { TYPE } from '../../constants.ts';
import { ReplyKeeper } from '../../request.ts';
import type { Plugin } from '../plugin.ts';
import { LoopDetector } from './handler.ts';

/** The detector is off this long after a reply to its question came back. */
const SETTLE_US = 2_000_000;

export const loopPlugin: Plugin = {
  name: 'loop',
  setup(c) {
    c.once(() => c.noMoreArgs());
    const { host, config } = c;
    const label = (): number => host.rng.u32() * 2 ** 20 + (host.rng.u32() >>> 12);
    const zone = config.zones[0] ?? '.';
    const qname = `${label()}.${label()}.${zone === '.' ? '' : zone}`;
    const detector = new LoopDetector(qname, (from) => {
      const text = `Loop (${from} -> ${config.serverLabel.replace('dns://', '')}) detected for zone "${zone}"`;
      host.fatal(`plugin/loop: ${text}, see https://coredns.io/plugins/loop#troubleshooting. Query: "HINFO ${qname}"`);
    });
    c.addHandler('loop', (next) => detector.handler(next));
    config.startups.push(() => {
      if (!config.hasUpstream) detector.disable();
    });
    config.started.push(() => {
      if (!config.hasUpstream) return;
      Promise.resolve()
        .then(() => config.serve(config.selfRequest(qname, TYPE.HINFO), new ReplyKeeper()))
        .catch(() => {})
        .finally(() => host.clock.after(SETTLE_US, () => detector.disable()));
    });
  },
};
