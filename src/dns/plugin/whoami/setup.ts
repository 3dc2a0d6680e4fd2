// `whoami`: the client's own address and port, in the additional section (CoreDNS plugin/whoami). It answers everything.
import { below } from '../../name.ts';
import { addressRecord, srvRecord } from '../../record.ts';
import { makeReply } from '../../request.ts';
import { addressBytes } from '../../reverse.ts';
import type { Plugin } from '../plugin.ts';

const NAME = 'whoami';

export const whoamiPlugin: Plugin = {
  name: NAME,
  setup(c) {
    c.once(() => c.noMoreArgs());
    c.addHandler(NAME, () => ({ question, origin }, writer) => {
      const address = addressBytes(origin.address.replace(/%.*$/, ''));
      const srv = srvRecord(below(`_${origin.proto}`, question.name), 0, 0, origin.port, '.');
      const additional = address === undefined ? [srv] : [addressRecord(question.name, 0, address), srv];
      writer.write(makeReply(NAME, 0, { additional: additional.map((one) => ({ ...one, class: question.class })) }));
      return 0;
    });
  },
};
