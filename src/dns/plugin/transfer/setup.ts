// Reads `transfer [ZONES...] { to ADDRESS... }` (CoreDNS plugin/transfer/setup.go). ADDRESS may have a port, which is where notifies
// would go; we send none. The zones themselves come from the plugins `kubernetes` and `file` of the same block.
import { canonicalAddress } from '../../reverse.ts';
import type { Controller, Plugin } from '../plugin.ts';
import { giveZones, type TransferRule } from './handler.ts';

const NAME = 'transfer';

export const transferPlugin: Plugin = {
  name: NAME,
  setup(c) {
    const rules: TransferRule[] = [];
    while (c.next()) {
      const zones = c.zonesFrom(c.remainingArgs());
      const to: string[] = [];
      while (c.nextBlock()) {
        if (c.val() !== 'to') throw c.err(`unknown property "${c.val()}"`);
        const args = c.remainingArgs();
        if (args.length === 0) throw c.argErr();
        to.push(...args.map((arg) => (arg === '*' ? arg : addressOf(c, arg))));
      }
      if (to.length === 0) throw c.err("'to' is required");
      rules.push({ zones, to });
    }
    const { transferers } = c.config;
    const log = (message: string): void => c.log(NAME, 'INFO', message);
    c.addHandler(NAME, (next) => giveZones({ rules, transferers, log }, next));
  },
};

function addressOf(c: Controller, text: string): string {
  const bare = /^\[(.*)\](?::\d+)?$/.exec(text)?.[1] ?? text.replace(/^([^:]*):\d+$/, '$1');
  const address = canonicalAddress(bare);
  if (address === undefined) throw c.err(`not an IP address: "${text}"`);
  return address;
}
