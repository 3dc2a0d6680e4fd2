// Reads `nsid [DATA]`: puts the server's name into replies to clients that ask for it (RFC 5001; CoreDNS plugin/nsid).
import { EDNS_NSID, echoedOptions, nextOrFailure, type Reply, type ResponseWriter } from '../../request.ts';
import type { Plugin } from '../plugin.ts';

const NAME = 'nsid';

export const nsidPlugin: Plugin = {
  name: NAME,
  setup(c) {
    let data = c.host.hostname;
    c.once(() => {
      const args = c.remainingArgs();
      if (args.length > 0) data = args.join(' ');
    });
    const option = { code: EDNS_NSID, data: new Uint8Array(Buffer.from(data)) };
    c.addHandler(NAME, (next) => (request, writer) => {
      const { edns } = request;
      if (!edns?.options.some(({ code }) => code === EDNS_NSID)) return nextOrFailure(NAME, next, request, writer);
      const named: ResponseWriter = {
        write(reply: Reply): number {
          const others = (reply.options ?? echoedOptions(edns)).filter(({ code }) => code !== EDNS_NSID);
          return writer.write({ ...reply, options: [...others, option] });
        },
      };
      return nextOrFailure(NAME, next, request, named);
    });
  },
};
