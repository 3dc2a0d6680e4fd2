// Reads `chaos [VERSION] [AUTHORS...]`: answers TXT questions of class CH about the server itself (CoreDNS plugin/chaos).
import { CLASS_CH, TYPE } from '../../constants.ts';
import { txtRecord } from '../../record.ts';
import { makeReply, nextOrFailure } from '../../request.ts';
import type { Plugin } from '../plugin.ts';

const NAME = 'chaos';
const MOST_CHARACTERS = 255;

export const chaosPlugin: Plugin = {
  name: NAME,
  setup(c) {
    const { host } = c;
    let version = `CoreDNS-${host.version}`;
    let authors: readonly string[] = ['Podwire'];
    c.once(() => {
      const [first, ...rest] = c.remainingArgs();
      if (first !== undefined) version = first;
      if (rest.length > 0) authors = [...new Set(rest)].sort();
    });
    const textsOf = (name: string): readonly string[] | undefined => {
      if (name === 'authors.bind.') return shuffled(authors, host.rng.below.bind(host.rng));
      if (name === 'version.bind.' || name === 'version.server.') return [version];
      return name === 'hostname.bind.' || name === 'id.server.' ? [host.hostname] : undefined;
    };
    c.addHandler(NAME, (next) => (request, writer) => {
      const { question, name } = request;
      const isAsked = question.class === CLASS_CH && question.type === TYPE.TXT;
      const texts = isAsked ? textsOf(name) : undefined;
      if (texts === undefined) return nextOrFailure(NAME, next, request, writer);
      const answer = texts.map((text) => ({
        ...txtRecord(question.name, 0, text.slice(0, MOST_CHARACTERS)),
        class: CLASS_CH,
      }));
      writer.write(makeReply(NAME, 0, { authoritative: false, answer }));
      return 0;
    });
  },
};

function shuffled(list: readonly string[], below: (n: number) => number): string[] {
  const out = [...list];
  for (let i = out.length - 1; i > 0; i--) {
    const j = below(i + 1);
    [out[i], out[j]] = [out[j]!, out[i]!];
  }
  return out;
}
