// `health [ADDRESS] { lameduck DURATION }`: 200 "OK" at /health as long as the process lives, and a pause before it ends in which
// questions are still answered (CoreDNS plugin/health). Leaves out the metrics of the process's check of itself.
import { type Controller, durationText, type Plugin, parseDuration } from '../plugin.ts';

const DEFAULT_ADDRESS = ':8080';

export const healthPlugin: Plugin = {
  name: 'health',
  setup(c) {
    let address = DEFAULT_ADDRESS;
    let lameduckUs = 0;
    c.once(() => {
      const args = c.remainingArgs();
      if (args.length > 1) throw c.argErr();
      address = args[0] ?? DEFAULT_ADDRESS;
      while (c.nextBlock()) lameduckUs = parseLameduck(c);
    });
    const { host, config } = c;
    const respond = () => ({ status: 200, body: 'OK' });
    config.startups.push(async () => {
      await host.http.serve(address, '/health', respond);
    });
    config.finalShutdowns.push(async () => {
      if (lameduckUs === 0) return;
      c.log('health', 'INFO', `Going into lameduck mode for ${durationText(lameduckUs)}`);
      await new Promise<void>((resolve) => void host.clock.after(lameduckUs, resolve));
    });
    config.shutdowns.push(() => host.http.release(address, '/health', respond));
  },
};

function parseLameduck(c: Controller): number {
  if (c.val() !== 'lameduck') throw c.argErr();
  const args = c.remainingArgs();
  if (args.length !== 1) throw c.argErr();
  const us = parseDuration(args[0]!);
  if (us === undefined)
    throw new Error(`unable to parse lameduck duration value: '${args[0]}' : time: invalid duration "${args[0]}"`);
  return us;
}
