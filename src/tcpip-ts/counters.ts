// Counters of one stack, under the names Linux gives them: SNMP is /proc/net/snmp, NETSTAT is /proc/net/netstat (both with
// the group put before the name, as nstat prints them), NEIGH is /proc/net/stat/arp_cache. One Float64Array holds them all:
// `counters.v[SNMP.IpInReceives]!++` costs one indexed add. (Three objects and not one, since V8 keeps an object literal
// fast only below 128 properties.)
// Leaves out what this stack cannot count: forwarding, multicast, ICMP timestamps and address masks, MD5, fast open.

export const SNMP = {
  IpInReceives: 0,
  IpInHdrErrors: 1,
  IpInAddrErrors: 2,
  IpInUnknownProtos: 3,
  IpInDiscards: 4,
  IpInDelivers: 5,
  IpOutRequests: 6,
  IpOutDiscards: 7,
  IpOutNoRoutes: 8,
  IpReasmTimeout: 9,
  IpReasmReqds: 10,
  IpReasmOKs: 11,
  IpReasmFails: 12,
  IpFragOKs: 13,
  IpFragFails: 14,
  IpFragCreates: 15,
  IcmpInMsgs: 16,
  IcmpInErrors: 17,
  IcmpInCsumErrors: 18,
  IcmpInDestUnreachs: 19,
  IcmpInTimeExcds: 20,
  IcmpInParmProbs: 21,
  IcmpInRedirects: 22,
  IcmpInEchos: 23,
  IcmpInEchoReps: 24,
  IcmpOutMsgs: 25,
  IcmpOutErrors: 26,
  IcmpOutRateLimitGlobal: 27,
  IcmpOutRateLimitHost: 28,
  IcmpOutDestUnreachs: 29,
  IcmpOutTimeExcds: 30,
  IcmpOutParmProbs: 31,
  IcmpOutEchos: 32,
  IcmpOutEchoReps: 33,
  UdpInDatagrams: 34,
  UdpNoPorts: 35,
  UdpInErrors: 36,
  UdpOutDatagrams: 37,
  UdpRcvbufErrors: 38,
  UdpSndbufErrors: 39,
  UdpInCsumErrors: 40,
  TcpActiveOpens: 41,
  TcpPassiveOpens: 42,
  TcpAttemptFails: 43,
  TcpEstabResets: 44,
  /** A gauge, not a count. */
  TcpCurrEstab: 45,
  TcpInSegs: 46,
  TcpOutSegs: 47,
  TcpRetransSegs: 48,
  TcpInErrs: 49,
  TcpOutRsts: 50,
  TcpInCsumErrors: 51,
} as const;

export const NETSTAT = {
  IpExtInNoRoutes: 52,
  IpExtInTruncatedPkts: 53,
  IpExtInMcastPkts: 54,
  IpExtInBcastPkts: 55,
  IpExtOutBcastPkts: 56,
  IpExtInOctets: 57,
  IpExtOutOctets: 58,
  IpExtInCsumErrors: 59,
  IpExtReasmOverlaps: 60,
  TcpExtSyncookiesSent: 61,
  TcpExtSyncookiesRecv: 62,
  TcpExtSyncookiesFailed: 63,
  TcpExtEmbryonicRsts: 64,
  TcpExtPruneCalled: 65,
  TcpExtRcvPruned: 66,
  TcpExtOfoPruned: 67,
  TcpExtOutOfWindowIcmps: 68,
  TcpExtTW: 69,
  TcpExtTWRecycled: 70,
  TcpExtTWKilled: 71,
  TcpExtPAWSActive: 72,
  TcpExtPAWSEstab: 73,
  TcpExtDelayedACKs: 74,
  TcpExtDelayedACKLost: 75,
  TcpExtListenOverflows: 76,
  TcpExtListenDrops: 77,
  TcpExtTCPHPHits: 78,
  TcpExtTCPPureAcks: 79,
  TcpExtTCPHPAcks: 80,
  TcpExtTCPRenoRecovery: 81,
  TcpExtTCPSackRecovery: 82,
  TcpExtTCPSACKReneging: 83,
  TcpExtTCPSACKReorder: 84,
  TcpExtTCPRenoReorder: 85,
  TcpExtTCPFullUndo: 86,
  TcpExtTCPPartialUndo: 87,
  TcpExtTCPDSACKUndo: 88,
  TcpExtTCPLossUndo: 89,
  TcpExtTCPLostRetransmit: 90,
  TcpExtTCPRenoFailures: 91,
  TcpExtTCPSackFailures: 92,
  TcpExtTCPLossFailures: 93,
  TcpExtTCPFastRetrans: 94,
  TcpExtTCPSlowStartRetrans: 95,
  TcpExtTCPTimeouts: 96,
  TcpExtTCPLossProbes: 97,
  TcpExtTCPLossProbeRecovery: 98,
  TcpExtTCPDSACKOldSent: 99,
  TcpExtTCPDSACKOfoSent: 100,
  TcpExtTCPDSACKRecv: 101,
  TcpExtTCPDSACKOfoRecv: 102,
  TcpExtTCPAbortOnData: 103,
  TcpExtTCPAbortOnClose: 104,
  TcpExtTCPAbortOnMemory: 105,
  TcpExtTCPAbortOnTimeout: 106,
  TcpExtTCPAbortOnLinger: 107,
  TcpExtTCPSACKDiscard: 108,
  TcpExtTCPSpuriousRTOs: 109,
  TcpExtTCPBacklogDrop: 110,
  TcpExtTCPTimeWaitOverflow: 111,
  TcpExtTCPReqQFullDoCookies: 112,
  TcpExtTCPReqQFullDrop: 113,
  TcpExtTCPRetransFail: 114,
  TcpExtTCPRcvCoalesce: 115,
  TcpExtTCPOFOQueue: 116,
  TcpExtTCPOFODrop: 117,
  TcpExtTCPOFOMerge: 118,
  TcpExtTCPChallengeACK: 119,
  TcpExtTCPSYNChallenge: 120,
  TcpExtTCPFromZeroWindowAdv: 121,
  TcpExtTCPToZeroWindowAdv: 122,
  TcpExtTCPWantZeroWindowAdv: 123,
  TcpExtTCPSynRetrans: 124,
  TcpExtTCPOrigDataSent: 125,
  TcpExtTCPWinProbe: 126,
  TcpExtTCPKeepAlive: 127,
  TcpExtTCPMTUPFail: 128,
  TcpExtTCPMTUPSuccess: 129,
  TcpExtTCPDelivered: 130,
  TcpExtTCPDeliveredCE: 131,
  TcpExtTCPZeroWindowDrop: 132,
  TcpExtTCPRcvQDrop: 133,
  TcpExtTCPACKSkippedChallenge: 134,
  TcpExtTCPAutoCorking: 135,
  TcpExtTCPHystartTrainDetect: 136,
  TcpExtTCPHystartDelayDetect: 137,
  /** By the ECN field of the header, in its order (ip_input.c adds it to the first). */
  IpExtInNoECTPkts: 142,
  IpExtInECT1Pkts: 143,
  IpExtInECT0Pkts: 144,
  IpExtInCEPkts: 145,
} as const;

export const NEIGH = {
  /** Resolutions given up. */
  ArpResFailed: 138,
  /** Packets thrown out of a full queue of packets that wait for an address. */
  ArpUnresolvedDiscards: 139,
  /** Another station claimed one of our addresses (no Linux counter; RFC 5227). */
  ArpConflicts: 140,
  ArpTableFulls: 141,
} as const;

export type CounterName = keyof typeof SNMP | keyof typeof NETSTAT | keyof typeof NEIGH;

const INDEX: Readonly<Record<CounterName, number>> = { ...SNMP, ...NETSTAT, ...NEIGH };

export class Counters {
  /** Indexed by the numbers in SNMP, NETSTAT and NEIGH. */
  readonly v = new Float64Array(Object.keys(INDEX).length);

  get(name: CounterName): number {
    return this.v[INDEX[name]]!;
  }

  /** The counters that are not zero, by name, in table order. */
  nonZero(): Partial<Record<CounterName, number>> {
    const out: Partial<Record<CounterName, number>> = {};
    for (const name of Object.keys(INDEX) as CounterName[]) {
      const value = this.v[INDEX[name]]!;
      if (value !== 0) out[name] = value;
    }
    return out;
  }
}
