// The live tables as text: `ipvsadm-save -n` (ipvsadm -S -n, 1.31) and the rows of /proc/net/ip_vs_conn that
// `ipvsadm -Lnc` shows. Services and dests come sorted, as the tool sorts them; the kernel's own order is another.
import { formatIPv4 } from '../../tcpip-ts/wire/address.ts';
import { formatHostPort, type IpAddress } from '../../tcpip-ts/wire/ip-address.ts';
import { IPPROTO_TCP, IPPROTO_UDP } from '../../tcpip-ts/wire/ipv4.ts';
import { CONN_F_TEMPLATE, type ConnTable, TEMPLATE_ASSURED } from './conn.ts';
import type { Dest } from './dest.ts';
import { SVC_F_FALLBACK, SVC_F_ONEPACKET, SVC_F_PORT } from './scheduler/scheduler.ts';
import type { VirtualService } from './service.ts';
import { stateName } from './state.ts';

/** A service as text tells it; of either family. */
type ServiceView = Pick<
  VirtualService,
  'proto' | 'port' | 'schedulerName' | 'flags' | 'persistent' | 'timeoutS' | 'netmask'
> & {
  readonly addr: IpAddress;
};

interface DestView extends Pick<Dest, 'port' | 'weight'> {
  readonly svc: ServiceView;
  readonly addr: IpAddress;
}

/** One rule a line, newline after each; empty without services. */
export function ipvsadmSave(services: Iterable<VirtualService>): string {
  const lines: string[] = [];
  for (const svc of [...services].sort(byKey)) {
    lines.push(formatService(svc));
    for (const dest of [...svc.dests()].sort((a, b) => a.addr - b.addr || a.port - b.port))
      lines.push(formatDest(dest));
  }
  return lines.map((line) => `${line}\n`).join('');
}

/** `-A -t 10.96.0.1:443 -s rr`, with affinity, one-packet mode and scheduler flags where set. */
export function formatService(svc: ServiceView): string {
  const words = [`-A ${keyOf(svc)} -s ${svc.schedulerName}`];
  if (svc.persistent) {
    words.push(`-p ${svc.timeoutS}`);
    if (typeof svc.addr === 'bigint') words.push(...(svc.netmask === 128 ? [] : [`-M ${svc.netmask}`]));
    else if (svc.netmask !== 0xffffffff) words.push(`-M ${formatIPv4(svc.netmask)}`);
  }
  if ((svc.flags & SVC_F_ONEPACKET) !== 0) words.push('-o');
  const flags = schedulerFlags(svc);
  if (flags) words.push(`-b ${flags}`);
  return words.join(' ');
}

/** `-a -t 10.96.0.1:443 -r 10.244.0.2:8443 -m -w 1`. */
export function formatDest(dest: DestView): string {
  return `-a ${keyOf(dest.svc)} -r ${formatHostPort(dest.addr, dest.port)} -m -w ${dest.weight}`;
}

/** One connection, as a row of `ipvsadm -Lnc` has it. */
export interface ConnRow {
  readonly proto: 'tcp' | 'udp';
  readonly client: string;
  readonly vip: string;
  readonly dest: string;
  readonly state: string;
  readonly secondsLeft: number;
}

export function connRows(conns: ConnTable): ConnRow[] {
  const rows: ConnRow[] = [];
  conns.forEach((id) => {
    const proto = conns.proto[id]!;
    const state = conns.state[id]!;
    const template = (conns.flags[id]! & CONN_F_TEMPLATE) !== 0;
    rows.push({
      proto: proto === IPPROTO_TCP ? 'tcp' : 'udp',
      client: `${formatIPv4(conns.caddr[id]!)}:${conns.cport[id]}`,
      vip: `${formatIPv4(conns.vaddr[id]!)}:${conns.vport[id]}`,
      dest: `${formatIPv4(conns.daddr[id]!)}:${conns.dport[id]}`,
      state: template ? ((state & TEMPLATE_ASSURED) !== 0 ? 'ASSURED' : 'NONE') : stateName(proto, state),
      secondsLeft: Math.floor(conns.remainingUs(id) / 1e6),
    });
  });
  return rows;
}

function keyOf(svc: ServiceView): string {
  const option = svc.proto === IPPROTO_TCP ? '-t' : svc.proto === IPPROTO_UDP ? '-u' : '--sctp-service';
  return `${option} ${formatHostPort(svc.addr, svc.port)}`;
}

function schedulerFlags(svc: ServiceView): string {
  const name = svc.schedulerName;
  const flags: string[] = [];
  if ((svc.flags & SVC_F_FALLBACK) !== 0) flags.push(name === 'sh' || name === 'mh' ? `${name}-fallback` : 'flag-1');
  if ((svc.flags & SVC_F_PORT) !== 0) flags.push(name === 'sh' || name === 'mh' ? `${name}-port` : 'flag-2');
  return flags.join(',');
}

function byKey(a: VirtualService, b: VirtualService): number {
  return a.proto - b.proto || a.addr - b.addr || a.port - b.port;
}
