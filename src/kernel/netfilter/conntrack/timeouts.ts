// Connection timeouts in seconds: the defaults of nf_conntrack_proto_{tcp,udp,icmp,generic}.c (v6.6), named as the sysctls
// net.netfilter.nf_conntrack_*_timeout_*. kube-proxy sets tcpEstablished to 86400 and tcpCloseWait to 3600.

export interface Timeouts {
  tcpSynSent: number;
  tcpSynRecv: number;
  tcpEstablished: number;
  tcpFinWait: number;
  tcpCloseWait: number;
  tcpLastAck: number;
  tcpTimeWait: number;
  tcpClose: number;
  tcpMaxRetrans: number;
  tcpUnacknowledged: number;
  udp: number;
  /** Once packets have been seen both ways for more than two seconds. */
  udpStream: number;
  icmp: number;
  generic: number;
}

export const DEFAULT_TIMEOUTS: Readonly<Timeouts> = {
  tcpSynSent: 120,
  tcpSynRecv: 60,
  tcpEstablished: 432_000,
  tcpFinWait: 120,
  tcpCloseWait: 60,
  tcpLastAck: 30,
  tcpTimeWait: 120,
  tcpClose: 10,
  tcpMaxRetrans: 300,
  tcpUnacknowledged: 300,
  udp: 30,
  udpStream: 120,
  icmp: 30,
  generic: 600,
};
