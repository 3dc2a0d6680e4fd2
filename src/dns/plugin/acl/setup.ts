// Reads `acl [ZONES...] { ACTION [type QTYPE...] [net SOURCE...] }` (CoreDNS plugin/acl/setup.go). Leaves out `file`, as an error that says so.
import { typeNumber } from '../../constants.ts';
import { addressBytes } from '../../reverse.ts';
import type { Controller, Plugin } from '../plugin.ts';
import { type AclRule, type Action, controlAccess, type Network, type Policy } from './handler.ts';

const NAME = 'acl';
const ACTIONS: ReadonlySet<string> = new Set(['allow', 'block', 'filter', 'drop']);

export const aclPlugin: Plugin = {
  name: NAME,
  setup(c) {
    const rules: AclRule[] = [];
    while (c.next()) {
      const zones = c.zonesFrom(c.remainingArgs());
      const policies: Policy[] = [];
      while (c.nextBlock()) policies.push(policyFrom(c));
      rules.push({ zones, policies });
    }
    const { metrics } = c.host;
    const counted = (name: string, what: string, labels: readonly string[]) =>
      metrics.counter(`coredns_acl_${name}_requests_total`, `Counter of DNS requests being ${what}.`, labels);
    const byZone = ['server', 'zone', 'view'];
    const of = {
      allow: counted('allowed', 'allowed', ['server', 'view']),
      block: counted('blocked', 'blocked', byZone),
      filter: counted('filtered', 'filtered', byZone),
      drop: counted('dropped', 'dropped', byZone),
    };
    const counters = { server: c.config.serverLabel, of };
    c.addHandler(NAME, (next) => controlAccess(rules, counters, next));
  },
};

function policyFrom(c: Controller): Policy {
  const action = c.val().toLowerCase();
  if (!ACTIONS.has(action)) throw c.err(`unexpected token "${c.val()}"; expect 'allow', 'block', 'filter' or 'drop'`);
  const words = c.remainingArgs();
  const types = new Set<number>();
  const networks: Network[] = [];
  let [allTypes, allNetworks] = [true, true];
  while (words.length > 0) {
    const section = words.shift()!;
    const tokens: string[] = [];
    while (words.length > 0 && !/^(type|net|file)$/i.test(words[0]!)) tokens.push(words.shift()!);
    if (tokens.length === 0) throw c.err(`no token specified in "${section}" section`);
    if (section.toLowerCase() === 'type') {
      allTypes = tokens.includes('*');
      for (const token of tokens) if (token !== '*') types.add(typeFrom(c, token));
    } else if (section.toLowerCase() === 'net') {
      allNetworks = tokens.includes('*');
      for (const token of tokens) if (token !== '*') networks.push(networkFrom(c, token));
    } else if (section.toLowerCase() === 'file') {
      throw c.err(`section 'file' is not supported by this server`);
    } else {
      throw c.err(`unexpected token "${section}"; expect 'type | net | file'`);
    }
  }
  return {
    action: action as Action,
    types: allTypes ? undefined : types,
    networks: allNetworks ? undefined : networks,
  };
}

function typeFrom(c: Controller, token: string): number {
  const type = typeNumber(token);
  if (type === undefined) throw c.err(`unexpected token "${token}"; expect legal QTYPE`);
  return type;
}

function networkFrom(c: Controller, token: string): Network {
  const [, address, length] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(token) ?? [];
  const bytes = addressBytes(address ?? '');
  const bits = length === undefined ? (bytes?.length ?? 0) * 8 : Number(length);
  if (bytes === undefined || bits > bytes.length * 8) throw c.err(`illegal CIDR notation "${token}"`);
  return { bytes, bits };
}
