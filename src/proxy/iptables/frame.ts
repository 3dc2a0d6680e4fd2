// What of the iptables mode's rules does not depend on Services: the top-level chains, the jumps to them, marking and
// masquerading, after syncProxyRules() of pkg/proxy/iptables/proxier.go, v1.31.
//
// Deviation: the counters of nfacct are left out; the emulated kernel has none.

import { familyOf, type IpAddress, type IpFamily, isLoopback, widthOf } from '../../tcpip-ts/wire/ip-address.ts';
import type { KubeProxyConfig } from '../config.ts';
import type { Chain, Match, Rule, Target } from '../either-family.ts';
import { LOOPBACK } from '../node-ports.ts';

export const SERVICES = 'KUBE-SERVICES';
export const EXTERNAL_SERVICES = 'KUBE-EXTERNAL-SERVICES';
export const NODEPORTS = 'KUBE-NODEPORTS';
export const PROXY_FIREWALL = 'KUBE-PROXY-FIREWALL';
export const MARK_MASQ = 'KUBE-MARK-MASQ';
const POSTROUTING = 'KUBE-POSTROUTING';
const FORWARD = 'KUBE-FORWARD';
/** kubelet has a chain of that name with the same rule. */
const FIREWALL = 'KUBE-FIREWALL';

const NEW: Match = { kind: 'ctstate', states: ['NEW'] };

export interface Jump {
  readonly chain: string;
  readonly rule: Rule;
}

/** In the order they are put first: the last ends up first. */
export const JUMPS: Readonly<Record<'filter' | 'nat', readonly Jump[]>> = {
  filter: [
    jumpFrom('INPUT', EXTERNAL_SERVICES, 'kubernetes externally-visible service portals', NEW),
    jumpFrom('FORWARD', EXTERNAL_SERVICES, 'kubernetes externally-visible service portals', NEW),
    jumpFrom('INPUT', NODEPORTS, 'kubernetes health check service ports'),
    jumpFrom('FORWARD', SERVICES, 'kubernetes service portals', NEW),
    jumpFrom('OUTPUT', SERVICES, 'kubernetes service portals', NEW),
    jumpFrom('FORWARD', FORWARD, 'kubernetes forwarding rules'),
    jumpFrom('INPUT', PROXY_FIREWALL, 'kubernetes load balancer firewall', NEW),
    jumpFrom('OUTPUT', PROXY_FIREWALL, 'kubernetes load balancer firewall', NEW),
    jumpFrom('FORWARD', PROXY_FIREWALL, 'kubernetes load balancer firewall', NEW),
    jumpFrom('INPUT', FIREWALL, ''),
    jumpFrom('OUTPUT', FIREWALL, ''),
  ],
  nat: [
    jumpFrom('OUTPUT', SERVICES, 'kubernetes service portals'),
    jumpFrom('PREROUTING', SERVICES, 'kubernetes service portals'),
    jumpFrom('POSTROUTING', POSTROUTING, 'kubernetes postrouting rules'),
  ],
};

/** Chains that kube-proxy owns whatever the Services; MARK_MASQ and FIREWALL are left standing at clean-up, as kubelet uses them. */
export const OWN_CHAINS: Readonly<Record<'filter' | 'nat', readonly string[]>> = {
  filter: [SERVICES, EXTERNAL_SERVICES, FORWARD, NODEPORTS, PROXY_FIREWALL],
  nat: [SERVICES, NODEPORTS, POSTROUTING],
};

type FrameConfig = Pick<KubeProxyConfig, 'masqueradeBit' | 'localhostNodePorts'>;

export function natFrame({ masqueradeBit }: FrameConfig): readonly Chain[] {
  const mark = 2 ** masqueradeBit;
  return [
    {
      name: POSTROUTING,
      rules: [
        { matches: [{ kind: 'mark', value: mark, mask: mark, invert: true }], target: { kind: 'RETURN' } },
        // The mark goes, so that a packet that comes through again is not masqueraded again.
        { matches: [], target: { kind: 'MARK', value: mark, mask: 0 } },
        {
          matches: [comment('kubernetes service traffic requiring SNAT')],
          target: { kind: 'MASQUERADE', randomFully: true },
        },
      ],
    },
    { name: MARK_MASQ, rules: [{ matches: [], target: { kind: 'MARK', value: mark, mask: mark } }] },
  ];
}

export function filterFrame({ masqueradeBit, localhostNodePorts }: FrameConfig): readonly Chain[] {
  const mark = 2 ** masqueradeBit;
  const accept: Target = { kind: 'ACCEPT' };
  // NodePorts on 127.0.0.0/8 need route_localnet, which would let others reach what listens there.
  const localnet: Rule = {
    matches: [
      { kind: 'source', ...LOOPBACK[4], invert: true },
      { kind: 'destination', ...LOOPBACK[4] },
      comment('block incoming localnet connections'),
      { kind: 'ctstate', states: ['RELATED', 'ESTABLISHED', 'DNAT'], invert: true },
    ],
    target: { kind: 'DROP' },
  };
  return [
    { name: FIREWALL, rules: localhostNodePorts ? [localnet] : [] },
    {
      name: FORWARD,
      rules: [
        { matches: [{ kind: 'ctstate', states: ['INVALID'] }], target: { kind: 'DROP' } },
        {
          matches: [comment('kubernetes forwarding rules'), { kind: 'mark', value: mark, mask: mark }],
          target: accept,
        },
        {
          matches: [
            comment('kubernetes forwarding conntrack rule'),
            { kind: 'ctstate', states: ['RELATED', 'ESTABLISHED'] },
          ],
          target: accept,
        },
      ],
    },
  ];
}

const LAST = comment('kubernetes service nodeports; NOTE: this must be the last rule in this chain');

/** The end of KUBE-SERVICES: to NodePorts on any address of the Node (null), or on these. */
export function nodePortJumps(
  addresses: readonly IpAddress[] | null,
  localhostNodePorts: boolean,
  family: IpFamily,
): readonly Rule[] {
  const target = jump(NODEPORTS);
  if (addresses !== null) {
    return addresses
      .filter((addr) => localhostNodePorts || !isLoopback(addr))
      .map((addr) => ({ matches: [{ kind: 'destination', addr, prefixLen: widthOf(familyOf(addr)) }, LAST], target }));
  }
  const notLoopback: readonly Match[] = localhostNodePorts
    ? []
    : [{ kind: 'destination', ...LOOPBACK[family], invert: true }];
  return [{ matches: [...notLoopback, LAST, { kind: 'addrtype', side: 'dst', type: 'LOCAL' }], target }];
}

export function comment(text: string): Match {
  return { kind: 'comment', text };
}

export function jump(chain: string): Target {
  return { kind: 'jump', chain };
}

function jumpFrom(from: string, to: string, why: string, ...matches: Match[]): Jump {
  return { chain: from, rule: { matches: why === '' ? matches : [...matches, comment(why)], target: jump(to) } };
}
