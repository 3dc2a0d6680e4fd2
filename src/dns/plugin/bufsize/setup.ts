// Reads `bufsize [SIZE]`: clients that say they take larger UDP replies get no larger ones (CoreDNS plugin/bufsize). Bytes.
import { nextOrFailure } from '../../request.ts';
import { type Plugin, parseInteger } from '../plugin.ts';

const NAME = 'bufsize';
const DEFAULT_SIZE = 1232;

export const bufsizePlugin: Plugin = {
  name: NAME,
  setup(c) {
    let size = DEFAULT_SIZE;
    while (c.next()) {
      const args = c.remainingArgs();
      if (args.length > 1) throw c.argErr();
      if (args.length === 0) continue;
      const given = parseInteger(args[0]!);
      if (given === undefined) throw new Error(`strconv.Atoi: parsing "${args[0]}": invalid syntax`);
      if (given < 512 || given > 4096) throw new Error('size must be within 512 - 4096');
      size = given;
    }
    c.addHandler(NAME, (next) => (request, writer) => {
      const { edns } = request;
      if (edns !== undefined && edns.udpSize > size) request.edns = { ...edns, udpSize: size };
      return nextOrFailure(NAME, next, request, writer);
    });
  },
};
