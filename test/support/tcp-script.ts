// Dialogues with one TcpLayer on a hand-moved clock, written as scripts after google/packetdrill. The test is the peer.
//
//   dialogue(t, `
//     listen
//     < S 0:0 win 65535 <mss 1460>         what the peer sends: flags, sequence range, ack, window, options
//     > S. 0:0 ack 1 <mss 1460>            what must have been sent: the next segment, in order
//     +10ms < . 1:1 ack 1 win 1000         moves the clock first
//     write 100                            what the application does
//     > P. 1:101 ack 1
//     +1s                                  anything sent and not expected by the next line fails the test
//   `);
//
// Flags: S F R P, `.` for ACK, E and W for ECE and CWR. Sequence numbers are relative to each side's initial one, as in packetdrill. What an expected line
// does not mention (window, options) is not compared. Options: `mss N`, `wscale N`, `sackOK`, `TS val N ecr N` (`ecr last`: the last
// value seen from the other side; expected lines take `TS ecr N`), `sack A:B C:D`, `nosack`, `nots`. `[ect0]`, `[ect1]`, `[ce]` and
// `[noecn]` before the flags are the ECN field of the IP header, `urg N` an urgent pointer.
// Application: connect, listen [backlog N], accept, write N, read [N], end, close, abort, nodelay, quickacks N, keepalive IDLE INTERVAL,
// usertimeout MS, icmp TYPE CODE [mtu N] [seq N], state NAME, cwnd N (in bytes), readable N, eof, connected, closed [ERRNO],
// writable, count COUNTER N, drain [N] (whatever was sent, or exactly N segments), gso N (on an expected line: gsoSize).
import { VirtualClock } from '../../src/lib/clock.ts';
import { SeededRng } from '../../src/lib/rng.ts';
import { type CounterName, Counters } from '../../src/tcpip-ts/counters.ts';
import { errnoName } from '../../src/tcpip-ts/errno.ts';
import type { IpOutput, RouteInfo } from '../../src/tcpip-ts/ip/transport.ts';
import { CHECKSUM_PARTIAL, CHECKSUM_UNNECESSARY, GSO_NONE, type Skb, SkbPool } from '../../src/tcpip-ts/skb.ts';
import type { Connection } from '../../src/tcpip-ts/tcp/connection.ts';
import type { TcpListener } from '../../src/tcpip-ts/tcp/listener.ts';
import { parseOptions, SegmentInfo } from '../../src/tcpip-ts/tcp/options.ts';
import type { TcpOptions } from '../../src/tcpip-ts/tcp/settings.ts';
import { STATE_NAMES } from '../../src/tcpip-ts/tcp/state.ts';
import { TcpLayer } from '../../src/tcpip-ts/tcp/tcp-layer.ts';
import { ipv4 } from '../../src/tcpip-ts/wire/address.ts';
import { get16, get32, put16, put32 } from '../../src/tcpip-ts/wire/bytes.ts';
import { finish, fold, pseudoSum, sumBytes } from '../../src/tcpip-ts/wire/checksum.ts';
import { emitIPv4 } from '../../src/tcpip-ts/wire/ipv4.ts';

const US = ipv4('10.0.0.1');
const PEER = ipv4('10.0.0.2');
const LISTEN_PORT = 80;
const PEER_PORT = 4000;
const FLAG_LETTERS = 'FSRP.UEW';
const ECN_FIELDS = ['noecn', 'ect1', 'ect0', 'ce'];

interface Sent {
  readonly atUs: number;
  readonly flags: string;
  readonly seq: number;
  readonly ack: number;
  readonly len: number;
  readonly window: number;
  readonly ecn: number;
  readonly sport: number;
  readonly dport: number;
  readonly options: SegmentInfo;
  readonly gsoSize: number;
  readonly fault: string;
  readonly payload: Uint8Array;
}

interface Line {
  readonly ecn: number | undefined;
  readonly urg: number | undefined;
  readonly flags: string;
  readonly from: number;
  readonly to: number;
  readonly ack: number | undefined;
  readonly win: number | undefined;
  readonly gso: number | undefined;
  readonly sport: number | undefined;
  readonly options: string | undefined;
  readonly corrupt: boolean;
}

/** The parts of tap's `t` that are needed. */
interface Asserter {
  fail(message: string): unknown;
  equal(found: unknown, wanted: unknown, message: string): unknown;
}

export interface ScriptOptions {
  readonly tcp?: Partial<TcpOptions>;
  readonly mtu?: number;
  readonly features?: number;
  readonly seed?: number;
  /** Peer's initial sequence number. */
  readonly irs?: number;
}

/** An IpOutput that keeps what it is given. */
class RecordingIp implements IpOutput {
  readonly pool = new SkbPool(64);
  readonly sent: Sent[] = [];
  readonly clock: VirtualClock;
  info: RouteInfo;

  constructor(clock: VirtualClock, mtu: number, features: number) {
    this.clock = clock;
    this.info = { saddr: US, mtu, features };
  }

  route(): RouteInfo {
    return this.info;
  }

  isLocal(addr: number): boolean {
    return addr === US;
  }

  alloc(): Skb | null {
    const skb = this.pool.alloc();
    if (!skb) return null;
    skb.th = skb.nh + 20;
    skb.tail = skb.th;
    return skb;
  }

  send(skb: Skb, saddr: number, daddr: number, _proto: number, _ttl: number, tos: number): number {
    const b = skb.bytes;
    const th = skb.th;
    const hlen = (b[th + 12]! >> 4) * 4;
    const options = new SegmentInfo();
    parseOptions(b, th + 20, th + hlen, options);
    let flags = '';
    for (const [i, letter] of [...FLAG_LETTERS].entries()) if (b[th + 13]! & (1 << i)) flags += letter;
    const length = skb.tail - th;
    const pseudo = pseudoSum(saddr, daddr, 6, length);
    let fault = '';
    if (skb.checksum === CHECKSUM_PARTIAL) {
      if (get16(b, skb.csumField) !== fold(pseudo) || skb.csumStart !== th) fault = 'partial checksum';
    } else if (finish(sumBytes(b, th, skb.tail, pseudo)) !== 0) fault = 'checksum';
    if (skb.gsoType === GSO_NONE && length + 20 > this.info.mtu) fault = 'larger than the MTU';
    this.sent.push({
      atUs: this.clock.nowUs(),
      flags,
      seq: get32(b, th + 4),
      ack: get32(b, th + 8),
      len: length - hlen,
      window: get16(b, th + 14),
      ecn: tos & 3,
      sport: get16(b, th),
      dport: get16(b, th + 2),
      options,
      gsoSize: skb.gsoSize,
      fault,
      payload: b.slice(th + hlen, skb.tail),
    });
    skb.free();
    return 0;
  }

  sendIcmpError(): void {}
}

/** Byte i of either side's stream. */
export function streamByte(i: number): number {
  return (i * 7 + (i >> 8)) & 255;
}

export class Dialogue {
  readonly clock = new VirtualClock();
  readonly ip: RecordingIp;
  readonly counters = new Counters();
  readonly tcp: TcpLayer;
  readonly #t: Asserter;
  listener: TcpListener | null = null;
  c: Connection | null = null;
  /** Of the connection with `#dport`; others by their peer port. */
  iss = 0;
  readonly #issOf = new Map<number, number>();
  readonly irs: number;
  #sport = LISTEN_PORT;
  #dport = PEER_PORT;
  #peerTs = 0;
  #ourTs = 0;
  #written = 0;
  #read = 0;
  connected = false;
  closed: number | null = null;
  writable = false;
  #line = '';
  #failed = false;

  constructor(t: Asserter, options: ScriptOptions = {}) {
    this.#t = t;
    this.irs = options.irs ?? 1_000_000;
    this.ip = new RecordingIp(this.clock, options.mtu ?? 1500, options.features ?? 0);
    const rng = new SeededRng(options.seed ?? 1);
    const tcpOptions = { timestamps: false, ...options.tcp };
    this.tcp = new TcpLayer({
      clock: this.clock,
      rng,
      ip: this.ip,
      pool: this.ip.pool,
      counters: this.counters,
      options: tcpOptions,
    });
    this.clock.advance(1_000_000);
  }

  run(script: string): this {
    for (const raw of script.split('\n')) {
      const line = raw.replace(/(^|\s)\/\/.*/, '').trim();
      if (line === '' || this.#failed) continue;
      this.#line = line;
      this.#step(line);
    }
    if (!this.#failed) this.#nothingLeft('at the end');
    const held = this.ip.pool.size - this.ip.pool.available;
    if (!this.#failed && held > 0) this.#fail(`${held} packets not freed`);
    return this;
  }

  #step(line: string): void {
    const time = /^\+(\d+(?:\.\d+)?)(us|ms|s|m|h)\s*/.exec(line);
    if (time) {
      this.#nothingLeft('before the clock moves');
      const unit = { us: 1, ms: 1e3, s: 1e6, m: 60e6, h: 3600e6 }[time[2]!]!;
      this.clock.advance(Math.round(Number(time[1]) * unit));
      line = line.slice(time[0].length);
      if (line === '') return;
    }
    if (line.startsWith('>')) this.#expect(line.slice(1).trim());
    else {
      if (!/^(state|cwnd|readable|eof|connected|closed|writable|count|accept|ssthresh|drain)\b/.test(line))
        this.#nothingLeft('before');
      if (line.startsWith('<')) this.#inject(line.slice(1).trim());
      else this.#act(line.split(/\s+/));
    }
  }

  /** What the application does. */
  #act([verb = '', ...args]: string[]): void {
    const c = this.c!;
    const n = Number(args[0] ?? 0);
    if (verb === 'connect') this.#connect();
    else if (verb === 'listen') this.#listen(args[0] === 'backlog' ? Number(args[1]) : undefined);
    else if (verb === 'unlisten') this.listener!.close();
    else if (verb === 'accept') this.#accept(args[0] !== 'none');
    else if (verb === 'write') this.#write(n, args[1]);
    else if (verb === 'read') this.#readBytes(args[0] === undefined ? c.readable : n);
    else if (verb === 'end') c.end();
    else if (verb === 'close') c.close();
    else if (verb === 'abort') c.abort();
    else if (verb === 'nodelay') c.setNoDelay(true);
    else if (verb === 'quickacks') c.quickacks = n;
    else if (verb === 'keepalive') c.setKeepAlive(true, n, Number(args[1]));
    else if (verb === 'usertimeout') c.setUserTimeout(n);
    else if (verb === 'mtu') this.ip.info = { ...this.ip.info, mtu: n };
    else if (verb === 'icmp') this.#icmp(args);
    else this.#check(verb, args, n);
  }

  /** What must hold. */
  #check(verb: string, args: string[], n: number): void {
    const { c, closed } = this;
    const word = args[0] ?? '0';
    if (verb === 'state') this.#same(c ? STATE_NAMES[c.state] : 'none', args[0], 'state');
    else if (verb === 'cwnd') this.#same(c!.cwnd, n, 'cwnd');
    else if (verb === 'ssthresh') this.#same(c!.ssthresh, n, 'ssthresh');
    else if (verb === 'readable') this.#same(c!.readable, n, 'readable');
    else if (verb === 'eof') this.#same(c!.ended, true, 'end of stream');
    else if (verb === 'connected') this.#same(this.connected, word !== 'no', 'connected');
    else if (verb === 'writable') this.#same(this.writable, word !== 'no', 'writable');
    else if (verb === 'count') this.#same(this.counters.get(args[0] as CounterName), Number(args[1]), args[0]!);
    else if (verb === 'closed') {
      this.#same(closed === null ? 'no' : closed === 0 ? '0' : errnoName(closed), word, 'closed');
    } else if (verb === 'drain') {
      if (args[0] !== undefined) this.#same(this.ip.sent.length, n, 'segments sent');
      this.ip.sent.length = 0;
    } else this.#fail('unknown line');
  }

  #connect(): void {
    const made = this.tcp.connect({ daddr: PEER, dport: PEER_PORT });
    if (typeof made === 'number') {
      this.#fail(`connect: ${errnoName(made)}`);
      return;
    }
    this.#dport = PEER_PORT;
    this.#sport = made.lport;
    this.#own(made);
  }

  #listen(backlog: number | undefined): void {
    const made = this.tcp.listen({ port: LISTEN_PORT, ...(backlog === undefined ? {} : { backlog }) });
    if (typeof made === 'number') {
      this.#fail(`listen: ${errnoName(made)}`);
      return;
    }
    this.listener = made;
    if (backlog === undefined) made.onConnection = (child) => this.#own(child);
  }

  #accept(isWanted: boolean): void {
    const child = this.listener!.accept();
    this.#same(child !== null, isWanted, 'accept');
    if (child) this.#own(child);
  }

  #write(n: number, wanted: string | undefined): void {
    const bytes = Uint8Array.from({ length: n }, (_, i) => streamByte(this.#written + i));
    const taken = this.c!.write(bytes);
    if (wanted !== undefined) this.#same(taken, Number(wanted), 'bytes taken');
    this.#written += Math.max(0, taken);
  }

  #readBytes(n: number): void {
    const into = new Uint8Array(n);
    this.#same(this.c!.read(into), n, 'bytes read');
    for (const byte of into) {
      if (byte !== streamByte(this.#read++)) {
        this.#fail(`wrong byte at ${this.#read - 1}`);
        return;
      }
    }
  }

  #own(c: Connection): void {
    this.c = c;
    this.iss = c.iss >>> 0;
    c.onConnect = () => {
      this.connected = true;
    };
    c.onWritable = () => {
      this.writable = true;
    };
    c.onClose = (errno) => {
      this.closed = errno;
    };
  }

  #icmp(args: string[]): void {
    const option = (name: string, otherwise: number): number =>
      args.includes(name) ? Number(args[args.indexOf(name) + 1]) : otherwise;
    const b = new Uint8Array(28);
    emitIPv4(b, 0, 0, 28, 0, 0, 64, 6, US, PEER);
    put16(b, 20, this.#sport);
    put16(b, 22, this.#dport);
    put32(b, 24, this.iss + option('seq', 0));
    this.tcp.error(b, 0, 20, 28, Number(args[0]), Number(args[1]), option('mtu', 0));
  }

  /** `S. 0:0 ack 1 win 100 <mss 1460>` */
  #inject(text: string): void {
    const f = this.#parse(text);
    const skb = this.ip.alloc()!;
    const b = skb.bytes;
    const th = skb.th;
    const from = this.irs;
    put16(b, th, f.sport ?? this.#dport);
    put16(b, th + 2, this.#sport);
    put32(b, th + 4, from + f.from);
    put32(b, th + 8, f.ack === undefined ? 0 : (this.#issOf.get(f.sport ?? this.#dport) ?? this.iss) + f.ack);
    let flags = 0;
    for (const letter of f.flags) flags |= 1 << FLAG_LETTERS.indexOf(letter);
    b[th + 13] = flags;
    put16(b, th + 14, f.win ?? 65_535);
    put32(b, th + 16, f.urg ?? 0);
    let o = th + 20;
    for (const byte of this.#optionBytes(f.options ?? '')) b[o++] = byte;
    b[th + 12] = (o - th) << 2;
    const first = f.flags.includes('S') ? 0 : f.from - 1;
    for (let i = 0; i < f.to - f.from; i++) b[o++] = streamByte(first + i);
    skb.tail = o;
    emitIPv4(b, skb.nh, f.ecn ?? 0, o - skb.nh, 0, 0, 64, 6, PEER, US);
    if (f.gso !== undefined) {
      skb.gsoType = 1;
      skb.gsoSize = f.gso;
      skb.checksum = CHECKSUM_UNNECESSARY;
    } else {
      put16(b, th + 16, finish(sumBytes(b, th, o, pseudoSum(PEER, US, 6, o - th))) ^ (f.corrupt ? 1 : 0));
    }
    this.tcp.input(skb);
  }

  #optionBytes(text: string): number[] {
    const out: number[] = [];
    for (const option of text.split(',').map((o) => o.trim())) {
      const words = option.split(/\s+/);
      if (words[0] === 'mss') out.push(2, 4, Number(words[1]) >> 8, Number(words[1]) & 255);
      else if (words[0] === 'wscale') out.push(1, 3, 3, Number(words[1]));
      else if (words[0] === 'sackOK') out.push(1, 1, 4, 2);
      else if (words[0] === 'TS') {
        this.#peerTs = Number(words[2]);
        const ecr = words[4]!.startsWith('last') ? this.#ourTs + Number(words[4]!.slice(4) || 0) : Number(words[4]);
        out.push(1, 1, 8, 10, ...word(this.#peerTs), ...word(ecr));
      } else if (words[0] === 'sack') {
        const blocks = words.slice(1).map((w) => w.split(':').map(Number));
        out.push(1, 1, 5, 2 + 8 * blocks.length);
        for (const [a, z] of blocks) out.push(...word(this.iss + a!), ...word(this.iss + z!));
      } else if (words[0] === 'raw') out.push(...words.slice(1).map(Number));
      else if (option !== '') this.#fail(`unknown option ${option}`);
    }
    while (out.length % 4 !== 0) out.push(1);
    return out;
  }

  #expect(text: string): void {
    const sent = this.ip.sent.shift();
    if (!sent) this.#fail('nothing was sent');
    else this.#compare(this.#parse(text), sent);
  }

  #compare(f: Line, sent: Sent): void {
    if (sent.flags.includes('S')) this.#issOf.set(sent.dport, sent.seq);
    const iss = this.#issOf.get(sent.dport) ?? this.iss;
    if (sent.dport === this.#dport) this.iss = iss;
    if (sent.options.hasTs) this.#ourTs = sent.options.tsVal;
    const relative = (sent.seq - iss) | 0;
    const wanted = `${[...f.flags].sort().join('')} ${f.from}:${f.to}${f.ack === undefined ? '' : ` ack ${f.ack}`}`;
    const ack = sent.flags.includes('.') ? ` ack ${(sent.ack - this.irs) | 0}` : '';
    const found = `${[...sent.flags].sort().join('')} ${relative}:${relative + sent.len}${ack}`;
    this.#same(found, wanted, 'sent');
    this.#same(sent.fault, '', 'fault');
    if (f.ecn !== undefined) this.#same(sent.ecn, f.ecn, 'ECN field');
    if (f.win !== undefined) this.#same(sent.window, f.win, 'window');
    if (f.gso !== undefined) this.#same(sent.gsoSize, f.gso, 'gsoSize');
    for (let i = 0; i < sent.len && !this.#failed; i++) {
      if (sent.payload[i] !== streamByte(relative - 1 + i)) this.#fail(`wrong byte at ${relative - 1 + i}`);
    }
    if (f.options !== undefined) this.#expectOptions(f.options, sent);
  }

  #expectOptions(text: string, { options }: Sent): void {
    for (const option of text.split(',').map((o) => o.trim())) {
      const words = option.split(/\s+/);
      const n = Number(words[1]);
      if (words[0] === 'mss') this.#same(options.mss, n, 'mss');
      else if (words[0] === 'wscale') this.#same(options.wscale, n, 'wscale');
      else if (words[0] === 'nowscale') this.#same(options.wscale, -1, 'wscale');
      else if (words[0] === 'sackOK') this.#same(options.sackOk, true, 'sackOK');
      else if (words[0] === 'nosackOK') this.#same(options.sackOk, false, 'sackOK');
      else if (words[0] === 'nots') this.#same(options.hasTs, false, 'timestamp');
      else if (words[0] === 'nosack') this.#same(options.sackBlocks, 0, 'SACK blocks');
      else if (words[0] === 'TS') {
        this.#same(options.hasTs, true, 'timestamp');
        if (words[1] === 'ecr')
          this.#same(options.tsEcr, (words[2] === 'last' ? this.#peerTs : Number(words[2])) | 0, 'TS ecr');
      } else if (words[0] === 'sack') {
        const found: string[] = [];
        for (let i = 0; i < options.sackBlocks; i++) {
          found.push(`${(options.sack[2 * i]! - this.irs) | 0}:${(options.sack[2 * i + 1]! - this.irs) | 0}`);
        }
        this.#same(found.join(' '), words.slice(1).join(' '), 'SACK blocks');
      } else this.#fail(`unknown option ${option}`);
    }
  }

  #parse(text: string): Line {
    const m =
      /^(?:\[(\w+)\] )?([SFRP.UEW]+) (-?\d+):(-?\d+)(?: ack (-?\d+))?(?: win (\d+))?(?: urg (\d+))?(?: gso (\d+))?(?: sport (\d+))?( corrupt)?(?: <(.*)>)?$/.exec(
        text,
      );
    if (!m) {
      this.#fail('cannot be read');
      throw new Error(`script: ${this.#line}`);
    }
    const number = (s: string | undefined): number | undefined => (s === undefined ? undefined : Number(s));
    const [, ecn, flags, from, to, ack, win, urg, gso, sport, corrupt, options] = m;
    return {
      ecn: ecn === undefined ? undefined : ECN_FIELDS.indexOf(ecn),
      urg: number(urg),
      flags: flags!,
      from: Number(from),
      to: Number(to),
      ack: number(ack),
      win: number(win),
      gso: number(gso),
      sport: number(sport),
      options,
      corrupt: corrupt !== undefined,
    };
  }

  #nothingLeft(when: string): void {
    const [first] = this.ip.sent;
    if (!first) return;
    const at = (first.seq - this.iss) | 0;
    const ack = (first.ack - this.irs) | 0;
    this.#fail(
      `unexpected ${when}: > ${first.flags} ${at}:${at + first.len} ack ${ack} win ${first.window} at ${first.atUs / 1e3} ms`,
    );
  }

  #same(found: unknown, wanted: unknown, what: string): void {
    if (found === wanted || this.#failed) return;
    this.#failed = true;
    this.#t.equal(found, wanted, `${what}: ${this.#line}`);
  }

  #fail(message: string): void {
    if (this.#failed) return;
    this.#failed = true;
    this.#t.fail(`${message}: ${this.#line}`);
  }
}

function word(n: number): number[] {
  return [n >>> 24, (n >>> 16) & 255, (n >>> 8) & 255, n & 255];
}

/** Runs one script against a fresh layer. */
export function dialogue(t: Asserter, script: string, options?: ScriptOptions): Dialogue {
  return new Dialogue(t, options).run(script);
}

/** A connection of ours to the peer, established; MSS 1000 and no options but those given. */
export const CONNECTED = `
  connect
  > S 0:0
  < S. 0:0 ack 1 win 65535 <mss 1000>
  > . 1:1 ack 1
  connected
  state ESTABLISHED
`;

/** One from the peer to us. */
export const ACCEPTED = `
  listen
  < S 0:0 win 65535 <mss 1000>
  > S. 0:0 ack 1
  < . 1:1 ack 1 win 65535
  state ESTABLISHED
`;
