// A link that leads nowhere, for tests of what happens before it: counts packets and gives them back to their pool.
import type { Link, LinkReceiver } from '../../src/tcpip-ts/link.ts';
import type { Skb } from '../../src/tcpip-ts/skb.ts';

export class SinkLink implements Link {
  readonly kind: Link['kind'];
  readonly mtu = 1500;
  readonly features = 0;
  receiver: LinkReceiver | null = null;
  sent = 0;

  constructor(kind: Link['kind'] = 'ether') {
    this.kind = kind;
  }

  attach(receiver: LinkReceiver): void {
    this.receiver = receiver;
  }

  transmit(skb: Skb): void {
    this.sent++;
    skb.free();
  }

  close(): void {}
}
