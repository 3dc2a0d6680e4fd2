// One-line packets for tests, shared by the stack's and the kernel's: builders that nest, a parser into plain objects for
// `t.match`, and `faults`, which names everything unsound in a packet.
//
//   ether(ip({ saddr: '10.0.0.1', daddr: '10.0.0.2' }, udp({ sport: 1000, dport: 53 }, 'hello')))
//   t.match(parse(frame), { ip: { saddr: '10.0.0.2', ttl: 63 }, udp: { sport: 53 } });
//   t.same(faults(frame), []);
//
// Addresses are dotted text and MACs `02:00:…` text here, since tests read and print them. Builders fill every length and
// checksum with the right value unless one is given. Slow and plain on purpose; uses the wire formats under test only for
// address texts and byte access, and sums by itself.
import { formatIPv4, formatMac, ipv4, parseMac } from '../../src/tcpip-ts/wire/address.ts';
import { get16, get32, put16, put32 } from '../../src/tcpip-ts/wire/bytes.ts';

type Payload = Uint8Array | string;

/** A transport segment that waits to learn its addresses, which its checksum covers. */
export interface Segment {
  readonly proto: number;
  bytes(saddr: number, daddr: number): Uint8Array;
}

export const MAC_A = '02:00:00:00:00:0a';
export const MAC_B = '02:00:00:00:00:0b';
export const BROADCAST = 'ff:ff:ff:ff:ff:ff';

/** An Ethernet frame. Type 0x0800 unless given or `payload` comes from `arp`. */
export function ether(payload: Payload, { dst = MAC_B, src = MAC_A, type = 0x0800 } = {}): Uint8Array {
  const body = toBytes(payload);
  const frame = new Uint8Array(14 + body.length);
  putMac(frame, 0, dst);
  putMac(frame, 6, src);
  put16(frame, 12, type);
  frame.set(body, 14);
  return frame;
}

export interface ArpFields {
  readonly op: 'request' | 'reply';
  readonly sha: string;
  readonly spa: string;
  readonly tha?: string;
  readonly tpa: string;
}

/** A whole ARP frame: requests go to broadcast, replies to `tha`, unless `dst` is given. */
export function arp({ op, sha, spa, tha = '00:00:00:00:00:00', tpa }: ArpFields, dst?: string): Uint8Array {
  const b = new Uint8Array(28);
  b.set([0, 1, 8, 0, 6, 4, 0, op === 'request' ? 1 : 2]);
  putMac(b, 8, sha);
  put32(b, 14, ipv4(spa));
  putMac(b, 18, tha);
  put32(b, 24, ipv4(tpa));
  return ether(b, { dst: dst ?? (op === 'request' ? BROADCAST : tha), src: sha, type: 0x0806 });
}

export interface IpFields {
  readonly saddr: string;
  readonly daddr: string;
  readonly ttl?: number;
  readonly tos?: number;
  readonly id?: number;
  readonly df?: boolean;
  readonly mf?: boolean;
  /** Fragment offset in bytes. */
  readonly offset?: number;
  /** Needed when the payload is bytes. */
  readonly proto?: number;
  /** A multiple of four bytes. */
  readonly options?: readonly number[];
  /** Instead of the true ones. */
  readonly checksum?: number;
  readonly totalLen?: number;
}

/** An IPv4 packet. */
export function ip(fields: IpFields, payload: Segment | Payload): Uint8Array {
  const saddr = ipv4(fields.saddr);
  const daddr = ipv4(fields.daddr);
  const segment = isSegment(payload);
  const body = segment ? payload.bytes(saddr, daddr) : toBytes(payload);
  const options = fields.options ?? [];
  const hlen = 20 + options.length;
  const b = new Uint8Array(hlen + body.length);
  b[0] = 0x40 | (hlen >> 2);
  b[1] = fields.tos ?? 0;
  put16(b, 2, fields.totalLen ?? b.length);
  put16(b, 4, fields.id ?? 0x1234);
  put16(b, 6, (fields.df ? 0x4000 : 0) | (fields.mf ? 0x2000 : 0) | ((fields.offset ?? 0) >> 3));
  b[8] = fields.ttl ?? 64;
  b[9] = fields.proto ?? (segment ? payload.proto : 0);
  put32(b, 12, saddr);
  put32(b, 16, daddr);
  b.set(options, 20);
  put16(b, 10, fields.checksum ?? sum16(b.subarray(0, hlen)));
  b.set(body, hlen);
  return b;
}

/** The same packet cut at `size` bytes of payload (a multiple of 8) into fragments. */
export function fragments(packet: Uint8Array, size: number): Uint8Array[] {
  const hlen = (packet[0]! & 15) * 4;
  const out: Uint8Array[] = [];
  for (let at = hlen; at < packet.length; at += size) {
    const part = packet.subarray(at, at + size);
    const b = new Uint8Array(hlen + part.length);
    b.set(packet.subarray(0, hlen));
    b.set(part, hlen);
    put16(b, 2, b.length);
    put16(b, 6, (at + size < packet.length ? 0x2000 : 0) | ((at - hlen) >> 3));
    put16(b, 10, 0);
    put16(b, 10, sum16(b.subarray(0, hlen)));
    out.push(b);
  }
  return out;
}

export interface UdpFields {
  readonly sport: number;
  readonly dport: number;
  /** 0: none. */
  readonly checksum?: number;
  readonly length?: number;
}

export function udp(fields: UdpFields, payload: Payload = ''): Segment {
  return {
    proto: 17,
    bytes(saddr, daddr) {
      const body = toBytes(payload);
      const b = new Uint8Array(8 + body.length);
      put16(b, 0, fields.sport);
      put16(b, 2, fields.dport);
      put16(b, 4, fields.length ?? b.length);
      b.set(body, 8);
      put16(b, 6, fields.checksum ?? (sum16(b, pseudo(saddr, daddr, 17, b.length)) || 0xffff));
      return b;
    },
  };
}

export interface TcpFields {
  readonly sport: number;
  readonly dport: number;
  /** Letters of `FSRPAUEC`, e.g. `SA`. */
  readonly flags: string;
  readonly seq?: number;
  readonly ack?: number;
  readonly window?: number;
  /** A multiple of four bytes; pad with 1 (no-op). */
  readonly options?: readonly number[];
  readonly urgent?: number;
  readonly checksum?: number;
}

const TCP_FLAGS = 'FSRPAUEC';

export function tcp(fields: TcpFields, payload: Payload = ''): Segment {
  return {
    proto: 6,
    bytes(saddr, daddr) {
      const body = toBytes(payload);
      const options = fields.options ?? [];
      const hlen = 20 + options.length;
      const b = new Uint8Array(hlen + body.length);
      put16(b, 0, fields.sport);
      put16(b, 2, fields.dport);
      put32(b, 4, (fields.seq ?? 0) >>> 0);
      put32(b, 8, (fields.ack ?? 0) >>> 0);
      b[12] = (hlen >> 2) << 4;
      for (const letter of fields.flags) b[13]! |= 1 << TCP_FLAGS.indexOf(letter);
      put16(b, 14, fields.window ?? 65535);
      put16(b, 18, fields.urgent ?? 0);
      b.set(options, 20);
      b.set(body, hlen);
      put16(b, 16, fields.checksum ?? sum16(b, pseudo(saddr, daddr, 6, b.length)));
      return b;
    },
  };
}

export interface IcmpFields {
  readonly type: number;
  readonly code?: number;
  /** Echo identifier, or the high half of the rest word. */
  readonly id?: number;
  /** Echo sequence number, next-hop MTU, or the low half of the rest word. */
  readonly seq?: number;
  readonly checksum?: number;
}

export function icmp(fields: IcmpFields, payload: Payload = ''): Segment {
  return {
    proto: 1,
    bytes() {
      const body = toBytes(payload);
      const b = new Uint8Array(8 + body.length);
      b[0] = fields.type;
      b[1] = fields.code ?? 0;
      put16(b, 4, fields.id ?? 0);
      put16(b, 6, fields.seq ?? 0);
      b.set(body, 8);
      put16(b, 2, fields.checksum ?? sum16(b));
      return b;
    },
  };
}

export interface ParsedIp {
  readonly saddr: string;
  readonly daddr: string;
  readonly ttl: number;
  readonly tos: number;
  readonly id: number;
  readonly df: boolean;
  readonly mf: boolean;
  readonly offset: number;
  readonly proto: number;
  readonly totalLen: number;
  readonly options: Uint8Array;
}

export interface Parsed {
  readonly eth?: { readonly dst: string; readonly src: string; readonly type: number };
  readonly arp?: Required<ArpFields>;
  readonly ip?: ParsedIp;
  readonly udp?: { readonly sport: number; readonly dport: number; readonly length: number; readonly checksum: number };
  readonly tcp?: {
    readonly sport: number;
    readonly dport: number;
    readonly flags: string;
    readonly seq: number;
    readonly ack: number;
    readonly window: number;
    readonly options: Uint8Array;
  };
  readonly icmp?: { readonly type: number; readonly code: number; readonly id: number; readonly seq: number };
  /** Of the innermost header understood; of an ICMP error, the quoted packet (parse it with kind 'ip'). */
  readonly payload: Uint8Array;
}

/** The headers of a frame (or with kind 'ip' of a packet), as far as they are there. A fragment past the first has none above IP. */
export function parse(bytes: Uint8Array, kind: 'ether' | 'ip' = 'ether'): Parsed {
  if (kind === 'ip') return parseIp(bytes);
  if (bytes.length < 14) return { payload: bytes };
  const eth = { dst: macAt(bytes, 0), src: macAt(bytes, 6), type: get16(bytes, 12) };
  const body = bytes.subarray(14);
  if (eth.type === 0x0800) return { eth, ...parseIp(body) };
  if (eth.type !== 0x0806 || body.length < 28) return { eth, payload: body };
  const op = get16(body, 6) === 1 ? 'request' : 'reply';
  const addresses = { sha: macAt(body, 8), spa: ipAt(body, 14), tha: macAt(body, 18), tpa: ipAt(body, 24) };
  return { eth, arp: { op, ...addresses }, payload: body.subarray(28) };
}

/** Everything wrong with the packet: lengths, checksums. Empty when sound. An ICMP quotation is not looked into. */
export function faults(bytes: Uint8Array, kind: 'ether' | 'ip' = 'ether'): string[] {
  const out: string[] = [];
  if (kind === 'ether') {
    if (bytes.length < 14) return ['frame shorter than its header'];
    if (get16(bytes, 12) !== 0x0800) return [];
    bytes = bytes.subarray(14);
  }
  if (bytes.length < 20 || bytes[0]! >> 4 !== 4) return ['no IPv4 header'];
  const hlen = (bytes[0]! & 15) * 4;
  const total = get16(bytes, 2);
  if (hlen < 20 || hlen > total || total > bytes.length)
    return [`lengths: header ${hlen}, total ${total}, have ${bytes.length}`];
  if (sum16(bytes.subarray(0, hlen)) !== 0) out.push('IP checksum');
  if ((get16(bytes, 6) & 0x3fff) !== 0) return out;
  const body = bytes.subarray(hlen, total);
  const ps = pseudo(get32(bytes, 12), get32(bytes, 16), bytes[9]!, body.length);
  switch (bytes[9]) {
    case 1:
      if (body.length < 8) out.push('ICMP length');
      else if (sum16(body) !== 0) out.push('ICMP checksum');
      break;
    case 6:
      if (body.length < 20 || (body[12]! >> 4) * 4 < 20 || (body[12]! >> 4) * 4 > body.length) out.push('TCP length');
      else if (sum16(body, ps) !== 0) out.push('TCP checksum');
      break;
    case 17:
      if (body.length < 8 || get16(body, 4) !== body.length) out.push('UDP length');
      else if (get16(body, 6) !== 0 && sum16(body, ps) !== 0) out.push('UDP checksum');
  }
  return out;
}

/** One line, for failures and logs: `10.0.0.1:1000 > 10.0.0.2:53 UDP 5`. */
export function show(bytes: Uint8Array, kind: 'ether' | 'ip' = 'ether'): string {
  const p = parse(bytes, kind);
  if (p.arp) return `ARP ${p.arp.op} ${p.arp.spa} (${p.arp.sha}) > ${p.arp.tpa} (${p.arp.tha})`;
  if (!p.ip) return `${bytes.length} bytes`;
  const frag = p.ip.mf || p.ip.offset > 0 ? ` fragment ${p.ip.offset}${p.ip.mf ? '+' : ''}` : '';
  const tail = `ttl ${p.ip.ttl}${p.ip.df ? ' DF' : ''}${frag}`;
  if (p.udp) return `${p.ip.saddr}:${p.udp.sport} > ${p.ip.daddr}:${p.udp.dport} UDP ${p.payload.length} ${tail}`;
  if (p.tcp) {
    const { sport, dport, flags, seq, ack, window } = p.tcp;
    return `${p.ip.saddr}:${sport} > ${p.ip.daddr}:${dport} TCP ${flags} ${seq}(${p.payload.length}) ack ${ack} win ${window} ${tail}`;
  }
  if (p.icmp)
    return `${p.ip.saddr} > ${p.ip.daddr} ICMP ${p.icmp.type}/${p.icmp.code} ${p.icmp.id} ${p.icmp.seq} ${tail}`;
  return `${p.ip.saddr} > ${p.ip.daddr} proto ${p.ip.proto} ${p.payload.length} ${tail}`;
}

export function text(payload: Uint8Array): string {
  return new TextDecoder().decode(payload);
}

function parseIp(b: Uint8Array): Parsed {
  if (b.length < 20) return { payload: b };
  const hlen = (b[0]! & 15) * 4;
  const word = get16(b, 6);
  const ip: ParsedIp = {
    saddr: ipAt(b, 12),
    daddr: ipAt(b, 16),
    ttl: b[8]!,
    tos: b[1]!,
    id: get16(b, 4),
    df: (word & 0x4000) !== 0,
    mf: (word & 0x2000) !== 0,
    offset: (word & 0x1fff) * 8,
    proto: b[9]!,
    totalLen: get16(b, 2),
    options: b.subarray(20, hlen),
  };
  const body = b.subarray(hlen, Math.min(b.length, ip.totalLen));
  if (ip.offset > 0) return { ip, payload: body };
  if (ip.proto === 17 && body.length >= 8) {
    const udp = { sport: get16(body, 0), dport: get16(body, 2), length: get16(body, 4), checksum: get16(body, 6) };
    return { ip, udp, payload: body.subarray(8) };
  }
  if (ip.proto === 1 && body.length >= 8) {
    const icmp = { type: body[0]!, code: body[1]!, id: get16(body, 4), seq: get16(body, 6) };
    return { ip, icmp, payload: body.subarray(8) };
  }
  if (ip.proto === 6 && body.length >= 20) {
    const end = (body[12]! >> 4) * 4;
    const tcp = {
      sport: get16(body, 0),
      dport: get16(body, 2),
      flags: [...TCP_FLAGS].filter((_, i) => body[13]! & (1 << i)).join(''),
      seq: get32(body, 4),
      ack: get32(body, 8),
      window: get16(body, 14),
      options: body.subarray(20, end),
    };
    return { ip, tcp, payload: body.subarray(end) };
  }
  return { ip, payload: body };
}

function isSegment(payload: Segment | Payload): payload is Segment {
  return typeof payload === 'object' && 'proto' in payload;
}

function toBytes(payload: Payload): Uint8Array {
  return typeof payload === 'string' ? new TextEncoder().encode(payload) : payload;
}

/** Complement of the folded one's-complement sum, the slow and obvious way. */
function sum16(b: Uint8Array, start = 0): number {
  let sum = start;
  for (let i = 0; i < b.length; i += 2) sum += b[i]! * 256 + (b[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum % 0x10000) + Math.floor(sum / 0x10000);
  return 0xffff - sum;
}

function pseudo(saddr: number, daddr: number, proto: number, length: number): number {
  return (saddr >>> 16) + (saddr & 0xffff) + (daddr >>> 16) + (daddr & 0xffff) + proto + length;
}

function putMac(b: Uint8Array, o: number, mac: string): void {
  const value = parseMac(mac);
  put16(b, o, Math.floor(value / 0x1_0000_0000));
  put32(b, o + 2, value >>> 0);
}

function macAt(b: Uint8Array, o: number): string {
  return formatMac(get16(b, o) * 0x1_0000_0000 + get32(b, o + 2));
}

function ipAt(b: Uint8Array, o: number): string {
  return formatIPv4(get32(b, o));
}
