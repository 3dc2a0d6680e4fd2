// What the way in (input.ts) and the way out (output.ts) of IPv4 work on; ip-layer.ts owns it.
import type { Counters } from '../counters.ts';
import type { IpIdents } from './idents.ts';
import type { Loopback } from './loopback.ts';
import type { Reassembly } from './reassembly.ts';
import type { RouteTable } from './route.ts';
import type { IpOutput, Transport } from './transport.ts';

export interface IpContext extends IpOutput {
  readonly counters: Counters;
  readonly routes: RouteTable;
  /** By protocol number. */
  readonly transports: readonly (Transport | null)[];
  readonly reassembly: Reassembly;
  readonly loopback: Loopback;
  readonly idents: IpIdents;
}
