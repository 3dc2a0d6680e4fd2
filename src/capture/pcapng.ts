// Writes pcapng (draft-ietf-opsawg-pcapng): section header, interface descriptions, enhanced packets with nanosecond stamps,
// name resolution. Little endian. Blocks are appended to one growing buffer that the owner takes when it suits.

export const LINKTYPE_ETHERNET = 1;
export const LINKTYPE_RAW = 101; // bare IP packets

const BT_SHB = 0x0a0d0d0a;
const BT_IDB = 1;
const BT_NRB = 4;
const BT_EPB = 6;
const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
const OPT_END = 0;
const OPT_COMMENT = 1;
const SHB_HARDWARE = 2;
const SHB_USERAPPL = 4;
const IF_NAME = 2;
const IF_DESCRIPTION = 3;
const IF_TSRESOL = 9;
const EPB_FLAGS = 2;
const NRB_END = 0;
const NRB_IPV4 = 1;
/** Larger than any frame: nothing is cut. */
const SNAPLEN = 262144;

export type PacketDirection = 'inbound' | 'outbound';

export class PcapngWriter {
  #buffer = new Uint8Array(1 << 16);
  #view = new DataView(this.#buffer.buffer);
  #used = 0;

  /** Bytes waiting to be taken. */
  get pending(): number {
    return this.#used;
  }

  /** Hands over what has been written since the last call, as a copy. */
  take(): Uint8Array {
    const bytes = this.#buffer.slice(0, this.#used);
    this.#used = 0;
    return bytes;
  }

  /** Must come first. */
  section(application: string, hardware: string): void {
    const start = this.#begin(BT_SHB);
    this.#u32(BYTE_ORDER_MAGIC);
    this.#u16(1);
    this.#u16(0);
    this.#u32(0xffffffff); // section length not known in advance
    this.#u32(0xffffffff);
    this.#textOption(SHB_HARDWARE, hardware);
    this.#textOption(SHB_USERAPPL, application);
    this.#endOptions();
    this.#end(start);
  }

  /** Interfaces are numbered from 0 in the order of these calls; they may come at any time before their first packet. */
  interface(linkType: number, name: string, description: string): void {
    const start = this.#begin(BT_IDB);
    this.#u16(linkType);
    this.#u16(0);
    this.#u32(SNAPLEN);
    this.#textOption(IF_NAME, name);
    this.#textOption(IF_DESCRIPTION, description);
    this.#option(IF_TSRESOL, 1);
    this.#pad(this.#put(9)); // 10^-9 s
    this.#endOptions();
    this.#end(start);
  }

  /** Names for addresses (host order). */
  names(entries: Iterable<readonly [addr: number, name: string]>): void {
    const start = this.#begin(BT_NRB);
    for (const [addr, name] of entries) {
      const text = new TextEncoder().encode(name);
      this.#u16(NRB_IPV4);
      this.#u16(4 + text.length + 1);
      this.#reserve(4 + text.length + 1);
      this.#view.setUint32(this.#used, addr); // network order
      this.#used += 4;
      this.#raw(text);
      this.#pad(text.length + this.#put(0)); // the address before it is aligned already
    }
    this.#u16(NRB_END);
    this.#u16(0);
    this.#end(start);
  }

  /**
   * One packet of `length` bytes stamped `unixNs`. Returns the offset of its bytes in `bytes()`, zeroed, for the caller to fill
   * before anything else is written.
   */
  packet(interfaceId: number, unixNs: bigint, length: number, direction: PacketDirection, comment?: string): number {
    const start = this.#begin(BT_EPB);
    this.#u32(interfaceId);
    this.#u32(Number(unixNs >> 32n));
    this.#u32(Number(unixNs & 0xffffffffn));
    this.#u32(length);
    this.#u32(length);
    this.#reserve(length + 4);
    const at = this.#used;
    this.#used += length;
    this.#pad(length);
    this.#option(EPB_FLAGS, 4);
    this.#u32(direction === 'inbound' ? 1 : 2);
    if (comment !== undefined) this.#textOption(OPT_COMMENT, comment);
    this.#endOptions();
    this.#end(start);
    return at;
  }

  /** The buffer that packet() offsets refer to; valid until the next block is written. */
  bytes(): Uint8Array {
    return this.#buffer;
  }

  #begin(type: number): number {
    const start = this.#used;
    this.#u32(type);
    this.#u32(0); // total length, once it is known
    return start;
  }

  #end(start: number): void {
    const length = this.#used + 4 - start;
    this.#u32(length);
    this.#view.setUint32(start + 4, length, true);
  }

  #textOption(code: number, text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.#option(code, bytes.length);
    this.#raw(bytes);
    this.#pad(bytes.length);
  }

  #option(code: number, length: number): void {
    this.#u16(code);
    this.#u16(length);
  }

  #endOptions(): void {
    this.#option(OPT_END, 0);
  }

  #u16(value: number): void {
    this.#reserve(2);
    this.#view.setUint16(this.#used, value, true);
    this.#used += 2;
  }

  #u32(value: number): void {
    this.#reserve(4);
    this.#view.setUint32(this.#used, value, true);
    this.#used += 4;
  }

  /** One byte; returns its length. */
  #put(value: number): number {
    this.#reserve(1);
    this.#buffer[this.#used++] = value;
    return 1;
  }

  #raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.#used);
    this.#used += bytes.length;
  }

  /** Zeroes up to the 32-bit boundary after `length` bytes. */
  #pad(length: number): void {
    const missing = (4 - (length & 3)) & 3;
    this.#reserve(missing);
    this.#buffer.fill(0, this.#used, this.#used + missing);
    this.#used += missing;
  }

  #reserve(more: number): void {
    if (this.#used + more <= this.#buffer.length) return;
    const grown = new Uint8Array(Math.max(this.#buffer.length * 2, this.#used + more));
    grown.set(this.#buffer.subarray(0, this.#used));
    this.#buffer = grown;
    this.#view = new DataView(grown.buffer);
  }
}
