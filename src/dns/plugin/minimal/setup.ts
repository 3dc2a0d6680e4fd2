// `minimal`: answers go out without authority and additional sections; referrals, denials and failures stay as they are (CoreDNS
// plugin/minimal).
import { TYPE } from '../../constants.ts';
import { nextOrFailure } from '../../request.ts';
import { responseType } from '../../response-type.ts';
import type { Plugin } from '../plugin.ts';

const NAME = 'minimal';

export const minimalPlugin: Plugin = {
  name: NAME,
  setup(c) {
    c.once(() => c.noMoreArgs());
    c.addHandler(NAME, (next) => (request, writer) => {
      const { type } = request.question;
      if (type === TYPE.AXFR || type === TYPE.IXFR) return nextOrFailure(NAME, next, request, writer);
      return nextOrFailure(NAME, next, request, {
        write: (reply) =>
          writer.write(
            responseType(request, reply) === 'noError' ? { ...reply, authority: [], additional: [] } : reply,
          ),
      });
    });
  },
};
