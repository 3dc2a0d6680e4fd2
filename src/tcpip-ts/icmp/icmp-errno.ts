// What an ICMP error means to a socket: an errno, and whether it is fatal (hard) or only a hint (soft, RFC 1122 4.2.3.9). After
// the table icmp_err_convert in Linux's net/ipv4/icmp.c.
import { ECONNREFUSED, EHOSTUNREACH, EMSGSIZE, ENETUNREACH, ENOPROTOOPT, EPROTO } from '../errno.ts';
import { ICMP_DEST_UNREACH, ICMP_PARAMETERPROB, ICMP_TIME_EXCEEDED } from '../wire/icmpv4.ts';

const EOPNOTSUPP = 95;
const EHOSTDOWN = 112;
const ENONET = 64;

/** By code of destination unreachable. */
const UNREACH_ERRNO = [
  ENETUNREACH,
  EHOSTUNREACH,
  ENOPROTOOPT,
  ECONNREFUSED,
  EMSGSIZE,
  EOPNOTSUPP,
  ENETUNREACH,
  EHOSTDOWN,
  ENONET,
  ENETUNREACH,
  EHOSTUNREACH,
  ENETUNREACH,
  EHOSTUNREACH,
  EHOSTUNREACH,
  EHOSTUNREACH,
  EHOSTUNREACH,
] as const;
const UNREACH_HARD = [0, 0, 1, 1, 0, 0, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1] as const;

/** 0: not an error that a socket hears of. */
export function icmpErrno(type: number, code: number): number {
  switch (type) {
    case ICMP_DEST_UNREACH:
      return UNREACH_ERRNO[code] ?? EHOSTUNREACH;
    case ICMP_TIME_EXCEEDED:
      return EHOSTUNREACH;
    case ICMP_PARAMETERPROB:
      return EPROTO;
    default:
      return 0;
  }
}

export function isHardIcmpError(type: number, code: number): boolean {
  return type === ICMP_PARAMETERPROB || (type === ICMP_DEST_UNREACH && UNREACH_HARD[code] === 1);
}
