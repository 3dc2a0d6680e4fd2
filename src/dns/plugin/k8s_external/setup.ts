// Reads `k8s_external [ZONES...] { apex LABEL; ttl SECONDS; headless; fallthrough [ZONES...] }` (CoreDNS plugin/k8s_external/setup.go).
import { type Plugin, parseInteger } from '../plugin.ts';
import { External } from './handler.ts';

const NAME = 'k8s_external';

export const k8sExternalPlugin: Plugin = {
  name: NAME,
  setup(c) {
    let zones: string[] = [];
    let fallthrough: string[] | undefined;
    let apex = 'dns';
    let ttl = 5;
    let headless = false;
    while (c.next()) {
      zones = c.zonesFrom(c.remainingArgs());
      while (c.nextBlock()) {
        const property = c.val();
        const args = c.remainingArgs();
        switch (property) {
          case 'ttl': {
            if (args.length === 0) throw c.argErr();
            const value = parseInteger(args[0]!);
            if (value === undefined) throw new Error(`strconv.Atoi: parsing "${args[0]}": invalid syntax`);
            if (value < 0 || value > 3600) throw c.err(`ttl must be in range [0, 3600]: ${value}`);
            ttl = value;
            break;
          }
          case 'apex':
            if (args.length === 0) throw c.argErr();
            apex = args[0]!.toLowerCase();
            break;
          case 'headless':
            headless = true;
            break;
          case 'fallthrough':
            fallthrough = args.length === 0 ? ['.'] : c.zonesFrom(args);
            break;
          default:
            throw c.err(`unknown property '${property}'`);
        }
      }
    }
    const { links, transferers } = c.config;
    c.addHandler(NAME, (next) => {
      const options = { zones, apex, ttl, headless, fallthrough };
      const external = new External(options, () => links.external, next);
      transferers.push((zone, serial) => external.transfer(zone, serial));
      return (request, writer) => external.serve(request, writer);
    });
  },
};
