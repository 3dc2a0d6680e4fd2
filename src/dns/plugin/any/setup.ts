// `any`: questions of type ANY get one HINFO record that says no (RFC 8482; CoreDNS plugin/any).
import { TYPE } from '../../constants.ts';
import type { ResourceRecord } from '../../record.ts';
import { recordOf } from '../../record-text.ts';
import { makeReply, nextOrFailure } from '../../request.ts';
import type { Plugin } from '../plugin.ts';

const NAME = 'any';
const TTL = 8482;

export const anyPlugin: Plugin = {
  name: NAME,
  setup(c) {
    c.once(() => c.noMoreArgs());
    c.addHandler(NAME, (next) => (request, writer) => {
      if (request.question.type !== TYPE.ANY) return nextOrFailure(NAME, next, request, writer);
      writer.write(makeReply(NAME, 0, { authoritative: false, answer: [refusal(request.question.name)] }));
      return 0;
    });
  },
};

function refusal(name: string): ResourceRecord {
  return recordOf(name, TTL, TYPE.HINFO, ['"ANY obsoleted"', '"See RFC 8482"'], '.')!;
}
