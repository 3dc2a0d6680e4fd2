// Every tunable of TCP in one place, with its Linux sysctl or its source. Times carry their unit; sizes are bytes.

/** tcp_ecn (RFC 3168): never; asked for and granted; granted to those that ask. */
export const ECN_OFF = 0;
export const ECN_ASK = 1;
export const ECN_GRANT = 2;

/** RFC 6298 (2.1). */
export const RTO_INITIAL_MS = 1000;
/** TCP_RTO_MIN: below the RFC's second, as every stack in use. */
export const RTO_MIN_MS = 200;
/** TCP_RTO_MAX. */
export const RTO_MAX_MS = 120_000;
/** RFC 6298 (5.7): after a retransmitted SYN whose round trip was never measured. */
export const RTO_FALLBACK_MS = 3000;

/** tcp_syn_retries: gives up 127 s after the first SYN. */
export const SYN_RETRIES = 6;
/** tcp_synack_retries. */
export const SYNACK_RETRIES = 5;
/** tcp_retries1: from here on the route is asked again. */
export const RETRIES1 = 3;
/** tcp_retries2: R2 of RFC 1122, as the time that so many timeouts take from RTO_MIN_MS (924.6 s). */
export const RETRIES2 = 15;
/** tcp_orphan_retries: for connections that no socket owns. */
export const ORPHAN_RETRIES = 8;

/** TCP_DELACK_MIN, the time an acknowledgment waits for company. RFC 1122 allows 500 ms. */
export const DELACK_MS = 40;
/** TCP_MAX_QUICKACKS: segments acknowledged at once at the start, so that slow start is not slowed. */
export const QUICKACKS = 16;

/** TCP_TIMEWAIT_LEN; also tcp_fin_timeout for orphans in FIN-WAIT-2. */
export const TIMEWAIT_MS = 60_000;
/** tcp_max_tw_buckets. */
export const TIMEWAIT_MAX = 16_384;

/** tcp_keepalive_time, _intvl, _probes. */
export const KEEPALIVE_IDLE_MS = 7_200_000;
export const KEEPALIVE_INTERVAL_MS = 75_000;
export const KEEPALIVE_PROBES = 9;

/** somaxconn and tcp_max_syn_backlog. */
export const BACKLOG_DEFAULT = 511; // Node's own default for listen()
export const BACKLOG_MAX = 4096;
export const SYN_QUEUE_MAX = 4096;

/** Before an MSS option was seen (RFC 9293, 3.7.1) and the least that is believed (tcp_min_snd_mss). */
export const MSS_DEFAULT = 536;
export const MSS_MIN = 48;
/** net.ipv4.route.min_pmtu: an ICMP error cannot make segments smaller than this. */
export const PMTU_MIN = 552;

/** tcp_mem, the last figure: beyond it what arrives finds no more buffer. Sending is the application's own memory. */
export const BUFFERS_MAX = 512 << 20;

/** tcp_rmem: initial and largest receive buffer. */
export const RCVBUF_INITIAL = 65_536;
export const RCVBUF_MAX = 4 << 20;
/** tcp_wmem: least and largest send buffer; in between it is twice the congestion window. */
export const SNDBUF_MIN = 65_536;
export const SNDBUF_MAX = 4 << 20;
/** RFC 7323, 2.3. */
export const WSCALE_MAX = 14;

/** RFC 6928. */
export const INITIAL_WINDOW_SEGMENTS = 10;
export const INITIAL_WINDOW_BYTES = 14_600;
/** RFC 5681: DupThresh. */
export const DUPTHRESH = 3;

/** Ranges held out of order by one connection; what would make one more is dropped. */
export const OOO_RANGES_MAX = 256;
/** Segments in flight on record, over all connections of a layer. */
export const SEGMENTS_MAX = 1 << 20;
/**
 * Of one connection: a peer that offers a tiny MSS and reports single bytes would make each acknowledgment a long walk (CVE-2019-11478).
 * Linux bounds it by what its buffers weigh, about 5,000 of the smallest in 4 MiB.
 */
export const CONNECTION_SEGMENTS_MAX = 8192;
/** Connections of a layer, request and time-wait entries not counted. */
export const CONNECTIONS_MAX = 1 << 20;

/** tcp_invalid_ratelimit: one answer to out-of-window segments per connection in this time. */
export const OOW_ACK_INTERVAL_MS = 500;
/** tcp_challenge_ack_limit, a second and layer (RFC 5961, 7). */
export const CHALLENGE_ACKS_PER_S = 1000;

/** TCP_PAWS_24DAYS (RFC 7323, 5.5). */
export const PAWS_AGE_MS = 24 * 24 * 3600 * 1000;

/** Most payload of one super-segment: 65,535 less IP header, TCP header and options. */
export const GSO_MAX_PAYLOAD = 65_535 - 20 - 60;

/** RFC 8985, 7.2: the least probe timeout, and what a delayed acknowledgment may add (TCP_RTO_MIN in Linux). */
export const TLP_MIN_MS = 2;
export const TLP_DELACK_MS = 200;
