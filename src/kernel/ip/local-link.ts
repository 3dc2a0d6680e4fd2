// The Node's own sockets: one end of an 'ip' link for a tcpip-ts Stack. What LOCAL_IN accepts goes up; what the stack sends is
// a local packet and goes through LOCAL_OUT.
import { LINK_F_CSUM, LINK_F_TSO4, LINK_F_USO4, type Link, type LinkReceiver } from '../../tcpip-ts/link.ts';
import type { Skb } from '../../tcpip-ts/skb.ts';
import type { IpInput } from './input.ts';

export class LocalLink implements Link {
  readonly kind = 'ip';
  readonly mtu: number;
  /** The kernel finishes what a device cannot. */
  readonly features = LINK_F_CSUM | LINK_F_TSO4 | LINK_F_USO4;
  readonly #input: IpInput;
  readonly #send: (skb: Skb) => void;
  #closed = false;

  constructor(input: IpInput, mtu: number, send: (skb: Skb) => void) {
    this.#input = input;
    this.mtu = mtu;
    this.#send = send;
  }

  attach(receiver: LinkReceiver): void {
    this.#input.local = receiver;
  }

  transmit(skb: Skb): void {
    if (this.#closed) skb.free();
    else this.#send(skb);
  }

  close(): void {
    this.#closed = true;
    this.#input.local = null;
  }
}
