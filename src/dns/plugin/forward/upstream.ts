// One upstream server (CoreDNS plugin/pkg/proxy): asks it a question over UDP or TCP and waits for the reply with the same id, and
// finds out by questions of its own (`. NS`) whether it is alive again after it failed. Times in microseconds.
// Deviation: every question has a socket, and so a port, of its own; CoreDNS keeps them for reuse. Waits are fixed at two
// seconds; CoreDNS tunes the time for connecting.
import type { Clock, Timer } from '../../../lib/clock.ts';
import type { Rng } from '../../../lib/rng.ts';
import { CLASS_IN, MAX_MESSAGE_SIZE, OPCODE_QUERY, TYPE } from '../../constants.ts';
import { type DecodedReply, decodeMessage } from '../../message.ts';
import { type Edns, encodeMessage, FLAG_AD, FLAG_CD, FLAG_RD, type Question } from '../../message-writer.ts';
import type { Request } from '../../request.ts';
import type { Address, DnsSockets } from '../../sockets.ts';

const READ_TIMEOUT_US = 2_000_000;
const CHECK_TIMEOUT_US = 1_000_000;

type Proto = 'udp' | 'tcp';

export class Upstream {
  /** `8.8.8.8:53`, for logs and metrics. */
  readonly text: string;
  readonly #to: Address;
  readonly #sockets: DnsSockets;
  readonly #clock: Clock;
  readonly #rng: Rng;
  readonly #localAddress: string;
  readonly #checkIntervalUs: number;
  /** Hears of each failed check. */
  readonly #onFailedCheck: () => void;
  #fails = 0;
  #checking = false;
  #closed = false;

  constructor(
    to: Address,
    sockets: DnsSockets,
    clock: Clock,
    rng: Rng,
    localAddress: string,
    checkIntervalUs: number,
    onFailedCheck: (to: string) => void,
  ) {
    this.#to = to;
    this.text = to.address.includes(':') ? `[${to.address}]:${to.port}` : `${to.address}:${to.port}`;
    this.#sockets = sockets;
    this.#clock = clock;
    this.#rng = rng;
    this.#localAddress = localAddress;
    this.#checkIntervalUs = checkIntervalUs;
    this.#onFailedCheck = () => onFailedCheck(this.text);
  }

  isDown(maxFails: number): boolean {
    return maxFails > 0 && this.#fails >= maxFails;
  }

  /** Asks now and then until the upstream answers; until then its failures are counted. */
  check(): void {
    if (this.#checking || this.#closed || this.#checkIntervalUs === 0) return;
    this.#checking = true;
    const probe = async (): Promise<void> => {
      if (this.#closed) return;
      try {
        const question = { name: '.', type: TYPE.NS, class: CLASS_IN };
        await this.#exchange(question, FLAG_RD, undefined, 'udp', CHECK_TIMEOUT_US);
        this.#fails = 0;
        this.#checking = false;
      } catch {
        this.#fails++;
        this.#onFailedCheck();
        this.#clock.after(this.#checkIntervalUs, () => void probe());
      }
    };
    void probe();
  }

  /** The client's question as it is, under an id of our own. Rejects when no reply comes. */
  ask(request: Request, proto: Proto, deadlineUs: number): Promise<DecodedReply> {
    const flags = (request.opcode << 11) | (request.flags & (FLAG_RD | FLAG_CD | FLAG_AD));
    const timeoutUs = Math.max(0, Math.min(READ_TIMEOUT_US, deadlineUs - this.#clock.nowUs()));
    return this.#exchange(request.question, flags, request.edns, proto, timeoutUs);
  }

  /** Idempotent. Health checks stop; questions on their way run out. */
  close(): void {
    this.#closed = true;
  }

  async #exchange(
    question: Question,
    flags: number,
    edns: Edns | undefined,
    proto: Proto,
    timeoutUs: number,
  ): Promise<DecodedReply> {
    const id = this.#rng.below(0x10000);
    const nothing = { rcode: 0, answer: [], authority: [], additional: [] };
    const query = encodeMessage(
      { id, flags: flags | (OPCODE_QUERY << 11), question, edns, ...nothing },
      MAX_MESSAGE_SIZE,
    );
    if (query === undefined) throw new Error('bad question name');
    return proto === 'udp' ? this.#overUdp(query, id, timeoutUs) : this.#overTcp(query, id, timeoutUs);
  }

  async #overUdp(query: Uint8Array, id: number, timeoutUs: number): Promise<DecodedReply> {
    const port = await this.#sockets.openUdp(this.#to);
    let timer: Timer | undefined;
    try {
      return await new Promise<DecodedReply>((resolve, reject) => {
        const what = `read udp ${this.#localAddress || port.local.address}:${port.local.port}->${this.text}`;
        timer = this.#clock.after(timeoutUs, () => reject(new Error(`${what}: i/o timeout`)));
        port.onError((error) => reject(new Error(`${what}: ${reasonOf('read', error)}`, { cause: error })));
        port.onMessage((bytes) => {
          const reply = decodeMessage(bytes);
          if (reply?.id === id && isResponse(reply)) resolve(reply);
        });
        port.send(query);
      });
    } finally {
      timer?.cancel();
      port.close();
    }
  }

  async #overTcp(query: Uint8Array, id: number, timeoutUs: number): Promise<DecodedReply> {
    let timer: Timer | undefined;
    let done = false;
    let close = (): void => {};
    const timeout = new Promise<never>((_, reject) => {
      timer = this.#clock.after(timeoutUs, () => reject(new Error(`dial tcp ${this.text}: i/o timeout`)));
    });
    const exchange = async (): Promise<DecodedReply> => {
      const stream = await this.#sockets.connectTcp(this.#to).catch((error: Error) => {
        throw new Error(`dial tcp ${this.text}: ${reasonOf('connect', error)}`, { cause: error });
      });
      close = () => stream.destroy();
      if (done) close();
      const framed = Buffer.alloc(query.length + 2);
      framed.writeUInt16BE(query.length);
      framed.set(query, 2);
      stream.write(framed);
      let data = Buffer.alloc(0);
      for await (const chunk of stream) {
        data = Buffer.concat([data, chunk as Buffer]);
        while (data.length >= 2 && data.length >= 2 + data.readUInt16BE(0)) {
          const reply = decodeMessage(data.subarray(2, 2 + data.readUInt16BE(0)));
          if (reply?.id === id && isResponse(reply)) return reply;
          data = data.subarray(2 + data.readUInt16BE(0));
        }
      }
      throw new Error(`read tcp ${this.text}: EOF`);
    };
    const exchanged = exchange();
    try {
      return await Promise.race([exchanged, timeout]);
    } finally {
      done = true;
      timer?.cancel();
      close();
      exchanged.catch(() => {});
    }
  }
}

function isResponse(reply: DecodedReply): boolean {
  return (reply.flags & 0x8000) !== 0;
}

/** The reason of a system error in Go's words. */
function reasonOf(call: string, error: Error & { code?: string }): string {
  const words: Record<string, string> = {
    ECONNREFUSED: 'connection refused',
    ECONNRESET: 'connection reset by peer',
    EHOSTUNREACH: 'no route to host',
    ENETUNREACH: 'network is unreachable',
    ETIMEDOUT: 'connection timed out',
  };
  const reason = error.code === undefined ? undefined : words[error.code];
  return reason === undefined ? error.message : `${call}: ${reason}`;
}
