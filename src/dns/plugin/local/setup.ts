// `local`: answers for localhost and the reverse zones of 0/8, 127/8 and 255/8, so that they go nowhere else (CoreDNS plugin/local;
// RFC 6303, RFC 6761). Also for `localhost.` with a search domain behind it, and for names below localhost.
import { RCODE, TYPE } from '../../constants.ts';
import { matchZone } from '../../name.ts';
import { addressRecord, nameRecord, type ResourceRecord, soaRecord } from '../../record.ts';
import { makeReply, nextOrFailure, type Reply, type Request } from '../../request.ts';
import { addressBytes } from '../../reverse.ts';
import type { Plugin } from '../plugin.ts';

const NAME = 'local';
const TTL = 604_800;
const ZONES = ['localhost.', '0.in-addr.arpa.', '127.in-addr.arpa.', '255.in-addr.arpa.'];
const LOCALHOST = 'localhost.';
const V4 = addressBytes('127.0.0.1')!;
const V6 = addressBytes('::1')!;

export const localPlugin: Plugin = {
  name: NAME,
  setup(c) {
    let anyPrefix = true;
    c.once(() => {
      if (c.remainingArgs().length > 0) throw c.argErr();
      while (c.nextBlock()) {
        if (c.val() !== 'disable_localhost_prefix') throw c.err(`unknown property '${c.val()}'`);
        anyPrefix = false;
      }
    });
    const help = 'Counter of localhost.<domain> requests.';
    const count = c.host.metrics.counter('coredns_local_localhost_requests_total', help).with();
    c.addHandler(NAME, (next) => (request, writer) => {
      const { name } = request;
      const isBehind = name.endsWith(`.${LOCALHOST}`) || (anyPrefix && name.startsWith(LOCALHOST));
      if (isBehind && name !== LOCALHOST) {
        count.value++;
        writer.write(makeReply(NAME, RCODE.NOERROR, { authoritative: false, ...addressesOrSoa(request) }));
        return 0;
      }
      const zone = matchZone(ZONES, name);
      if (zone === undefined) return nextOrFailure(NAME, next, request, writer);
      writer.write(inZone(request, request.question.name.slice(-zone.length)));
      return 0;
    });
  },
};

function inZone(request: Request, zone: string): Reply {
  const { name, question } = request;
  const reply = (parts: Partial<Reply>, rcode: number = RCODE.NOERROR): Reply =>
    makeReply(NAME, rcode, { authoritative: false, ...parts });
  if (ZONES.includes(name)) {
    if (question.type === TYPE.SOA) return reply({ answer: [soa(question.name)] });
    if (question.type === TYPE.NS) return reply({ answer: [nameRecord(question.name, TYPE.NS, TTL, LOCALHOST)] });
    return reply(name === LOCALHOST ? addressesOrSoa(request) : { authority: [soa(question.name)] });
  }
  if (name !== '1.0.0.127.in-addr.arpa.') return reply({ authority: [soa(zone)] }, RCODE.NXDOMAIN);
  return question.type === TYPE.PTR
    ? reply({ answer: [nameRecord(question.name, TYPE.PTR, TTL, LOCALHOST)] })
    : reply({ authority: [soa(zone)] });
}

function addressesOrSoa({ question }: Request): Partial<Reply> {
  if (question.type === TYPE.A) return { answer: [addressRecord(question.name, TTL, V4)] };
  if (question.type === TYPE.AAAA) return { answer: [addressRecord(question.name, TTL, V6)] };
  return { authority: [soa(question.name)] };
}

function soa(origin: string): ResourceRecord {
  const timers = { serial: 1, refreshS: 0, retryS: 0, expireS: 0, minimumS: TTL };
  return soaRecord(origin, TTL, LOCALHOST, 'root.localhost.', timers);
}
