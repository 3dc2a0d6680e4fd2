// Decides by zone, client address and type who gets answers (CoreDNS plugin/acl/acl.go): the first policy that fits counts; where
// none does the question passes.

import type { Vector } from '../../../lib/metrics.ts';
import { RCODE } from '../../constants.ts';
import { matchZone } from '../../name.ts';
import {
  type Handler,
  makeReply,
  nextOrFailure,
  OnlyOnce,
  type Request,
  type ResponseWriter,
  type Served,
} from '../../request.ts';
import { addressBytes } from '../../reverse.ts';

const NAME = 'acl';
/** Extended DNS errors (RFC 8914): the option, and its codes for refused and filtered questions. */
const EDNS_EDE = 15;
const EDE_BLOCKED = 15;
const EDE_FILTERED = 17;

export type Action = 'allow' | 'block' | 'filter' | 'drop';

export interface Network {
  readonly bytes: Uint8Array;
  readonly bits: number;
}

export interface Policy {
  readonly action: Action;
  /** Undefined: all. */
  readonly types: ReadonlySet<number> | undefined;
  /** Undefined: all. */
  readonly networks: readonly Network[] | undefined;
}

export interface AclRule {
  readonly zones: readonly string[];
  readonly policies: readonly Policy[];
}

export interface AclCounters {
  readonly server: string;
  /** By server and zone; `allow` by server alone. */
  readonly of: Readonly<Record<Action, Vector>>;
}

export function controlAccess(
  rules: readonly AclRule[],
  { server, of }: AclCounters,
  next: Handler | undefined,
): Handler {
  return (request, writer) => {
    for (const { zones, policies } of rules) {
      const zone = matchZone(zones, request.name);
      const action = zone === undefined ? undefined : decide(policies, request);
      if (action === undefined) continue;
      if (action === 'allow') break;
      of[action].with(server, zone!, '').value++;
      return refuse(action, request, writer);
    }
    of.allow.with(server, '').value++;
    // Another client may be refused.
    return nextOrFailure(NAME, next, request, new OnlyOnce(writer));
  };
}

function refuse(action: Action, request: Request, writer: ResponseWriter): Served {
  if (action === 'drop') return RCODE.NOERROR;
  const isBlocked = action === 'block';
  const option = { code: EDNS_EDE, data: Uint8Array.of(0, isBlocked ? EDE_BLOCKED : EDE_FILTERED) };
  const rcode = isBlocked ? RCODE.REFUSED : RCODE.NOERROR;
  writer.write(makeReply(NAME, rcode, { authoritative: false, options: request.edns && [option] }));
  return RCODE.NOERROR;
}

function decide(policies: readonly Policy[], { origin, question }: Request): Action | undefined {
  const address = addressBytes(origin.address.replace(/%.*$/, ''));
  if (address === undefined) return 'block';
  const fits = policies.find(
    ({ types, networks }) =>
      (types === undefined || types.has(question.type)) &&
      (networks === undefined || networks.some((network) => holds(network, address))),
  );
  return fits?.action;
}

function holds({ bytes, bits }: Network, address: Uint8Array): boolean {
  if (bytes.length !== address.length) return false;
  const whole = bits >> 3;
  for (let i = 0; i < whole; i++) if (bytes[i] !== address[i]) return false;
  const rest = bits & 7;
  return rest === 0 || bytes[whole]! >> (8 - rest) === address[whole]! >> (8 - rest);
}
