// Choosing the translated tuple, after get_unique_tuple() of net/netfilter/nf_nat_core.c (v6.6): keep what can be kept, else
// look for a free port from a random start, at most 128 tries, then fewer and fewer.
//
// The tuple is what the packet looks like after translation, in terms of the connection's reply tuple: its source is the
// reply's destination, its destination the reply's source.
// Deviation: Linux first looks for a mapping that the same client address and port already has and reuses it for other
// destinations (find_appropriate_src); here each connection chooses by itself, and keeps its port all the same when free.
// Leaves out: address ranges of more than one address, port ranges with an offset, the persistent flag.
import type { Rng } from '../../../lib/rng.ts';
import { IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP } from '../../../tcpip-ts/wire/ipv4.ts';
import type { Conntrack } from '../conntrack/conntrack.ts';
import {
  IP_CT_DIR_REPLY,
  IPS_CONFIRMED,
  IPS_DST_NAT,
  IPS_DST_NAT_DONE,
  IPS_SRC_NAT,
  IPS_SRC_NAT_DONE,
} from '../conntrack/ctinfo.ts';

export const NF_NAT_MANIP_SRC = 0;
export const NF_NAT_MANIP_DST = 1;
export type Manip = 0 | 1;

const MAX_ATTEMPTS = 128;
const MIN_ATTEMPTS = 16;

/**
 * Binds an unconfirmed connection's source or destination (nf_nat_setup_info): to `addr`, and `port` unless 0. `random`: choose
 * a fresh port even if the present one is free (random-fully). A null binding passes the address it has. Once a kind.
 */
export function setupNat(
  t: Conntrack,
  rng: Rng,
  ct: number,
  manip: Manip,
  addr: number,
  port: number,
  random: boolean,
): void {
  if ((t.status[ct]! & IPS_CONFIRMED) !== 0) return;
  if (manip === NF_NAT_MANIP_DST) {
    bindDestination(t, ct, addr, port);
    t.status[ct]! |= IPS_DST_NAT_DONE;
  } else {
    bindSource(t, rng, ct, addr, port, random);
    t.status[ct]! |= IPS_SRC_NAT_DONE;
  }
}

/** A destination's port is given or kept: a clash is left to the source binding, which comes later. */
function bindDestination(t: Conntrack, ct: number, addr: number, port: number): void {
  const wasAddr = t.saddr(ct, IP_CT_DIR_REPLY);
  const wasPort = t.sport(ct, IP_CT_DIR_REPLY);
  const isPort = port !== 0 && t.proto(ct) !== IPPROTO_ICMP;
  if (wasAddr === addr && (!isPort || wasPort === port)) return;
  t.alterReply(ct, addr, isPort ? port : wasPort);
  t.status[ct]! |= IPS_DST_NAT;
}

function bindSource(t: Conntrack, rng: Rng, ct: number, addr: number, port: number, random: boolean): void {
  const proto = t.proto(ct);
  const wasAddr = t.daddr(ct, IP_CT_DIR_REPLY);
  const wasPort = proto === IPPROTO_ICMP ? t.sport(ct, IP_CT_DIR_REPLY) : t.dport(ct, IP_CT_DIR_REPLY);
  const wanted = port !== 0 ? port : wasPort;
  const chosen =
    !random && (port !== 0 || !isUsed(t, ct, proto, addr, wanted)) ? wanted : freePort(t, rng, ct, proto, addr, wanted);
  if (wasAddr === addr && wasPort === chosen) return;
  t.alterReplyDestination(ct, addr, chosen);
  t.status[ct]! |= IPS_SRC_NAT;
}

/** Whether an answer to addr:port would belong to another connection (nf_nat_used_tuple). */
function isUsed(t: Conntrack, ct: number, proto: number, addr: number, port: number): boolean {
  const isIcmp = proto === IPPROTO_ICMP;
  const sport = isIcmp ? port : t.sport(ct, IP_CT_DIR_REPLY);
  const dport = isIcmp ? t.dport(ct, IP_CT_DIR_REPLY) : port;
  return t.isTaken(proto, t.saddr(ct, IP_CT_DIR_REPLY), sport, addr, dport, ct);
}

function freePort(t: Conntrack, rng: Rng, ct: number, proto: number, addr: number, wanted: number): number {
  let min = 0;
  let size = 65536;
  if (proto === IPPROTO_TCP || proto === IPPROTO_UDP) {
    // Privileged ports stay privileged, and those under 512 too.
    min = wanted < 512 ? 1 : wanted < 1024 ? 600 : 1024;
    size = (wanted < 512 ? 511 : wanted < 1024 ? 1023 : 65535) - min + 1;
  } else if (proto !== IPPROTO_ICMP) return wanted;
  let port = wanted;
  for (let attempts = Math.min(size, MAX_ATTEMPTS); ; attempts >>= 1) {
    const offset = rng.below(65536);
    for (let i = 0; i < attempts; i++) {
      port = min + ((offset + i) % size);
      if (!isUsed(t, ct, proto, addr, port)) return port;
    }
    if (attempts >= size || attempts < MIN_ATTEMPTS) return port; // confirm() will find the clash and drop the packet
  }
}
