// Numbers of the DNS protocol by their names (RFC 1035, 3596, 2782, 6891; IANA DNS Parameters), as far as the server names
// them. Text forms are those CoreDNS (miekg/dns) prints in its logs and metrics. No units.

export const TYPE = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  HINFO: 13,
  MX: 15,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
  DNAME: 39,
  OPT: 41,
  DS: 43,
  SSHFP: 44,
  RRSIG: 46,
  NSEC: 47,
  DNSKEY: 48,
  NSEC3: 50,
  TLSA: 52,
  SVCB: 64,
  HTTPS: 65,
  SPF: 99,
  IXFR: 251,
  AXFR: 252,
  ANY: 255,
  CAA: 257,
} as const;

export const CLASS_IN = 1;
export const CLASS_CH = 3;

export const OPCODE_QUERY = 0;
export const OPCODE_NOTIFY = 4;

export const RCODE = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
  BADVERS: 16,
} as const;

/** Smallest and largest message a client can ask for (RFC 1035 4.2.1, RFC 6891 6.2.3). */
export const MIN_MESSAGE_SIZE = 512;
export const MAX_MESSAGE_SIZE = 65535;

const RCODE_TEXT: Record<number, string> = {
  0: 'NOERROR',
  1: 'FORMERR',
  2: 'SERVFAIL',
  3: 'NXDOMAIN',
  4: 'NOTIMP',
  5: 'REFUSED',
  6: 'YXDOMAIN',
  7: 'YXRRSET',
  8: 'NXRRSET',
  9: 'NOTAUTH',
  10: 'NOTZONE',
  16: 'BADVERS',
};

export function rcodeText(rcode: number): string {
  return RCODE_TEXT[rcode] ?? String(rcode);
}

const TYPE_TEXT: Record<number, string> = {
  1: 'A',
  2: 'NS',
  5: 'CNAME',
  6: 'SOA',
  12: 'PTR',
  13: 'HINFO',
  15: 'MX',
  16: 'TXT',
  17: 'RP',
  18: 'AFSDB',
  24: 'SIG',
  25: 'KEY',
  28: 'AAAA',
  29: 'LOC',
  33: 'SRV',
  35: 'NAPTR',
  36: 'KX',
  37: 'CERT',
  39: 'DNAME',
  41: 'OPT',
  43: 'DS',
  44: 'SSHFP',
  46: 'RRSIG',
  47: 'NSEC',
  48: 'DNSKEY',
  50: 'NSEC3',
  51: 'NSEC3PARAM',
  52: 'TLSA',
  59: 'CDS',
  60: 'CDNSKEY',
  64: 'SVCB',
  65: 'HTTPS',
  99: 'SPF',
  249: 'TKEY',
  250: 'TSIG',
  251: 'IXFR',
  252: 'AXFR',
  255: 'ANY',
  256: 'URI',
  257: 'CAA',
};
const TYPE_NUMBER = new Map(Object.entries(TYPE_TEXT).map(([number, text]) => [text, Number(number)]));

/** `A`, `SRV`, ...; `TYPE65280` when the number has no name (RFC 3597). */
export function typeText(type: number): string {
  return TYPE_TEXT[type] ?? `TYPE${type}`;
}

/** The number of a type by its name, `TYPE123` included; undefined when unknown. */
export function typeNumber(text: string): number | undefined {
  const upper = text.toUpperCase();
  const known = TYPE_NUMBER.get(upper);
  if (known !== undefined) return known;
  const generic = /^TYPE(\d{1,5})$/.exec(upper);
  return generic && Number(generic[1]) <= 0xffff ? Number(generic[1]) : undefined;
}

export function classText(cls: number): string {
  if (cls === CLASS_IN) return 'IN';
  if (cls === CLASS_CH) return 'CH';
  if (cls === 4) return 'HS';
  if (cls === 254) return 'NONE';
  if (cls === 255) return 'ANY';
  return `CLASS${cls}`;
}
