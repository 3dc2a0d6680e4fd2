// The peers: this machine's own kernel with the very rules that the emulated one holds, as text. Three fresh network namespaces in a
// row, client, Node and server, joined by veth; the rules are loaded by the real tool, timed, and send.c measures what a packet costs from
// the client's veth to the server's. The server has no address and drops what comes.
//
//   pwb…c ─ r0 [ 10.244.0.1, rules ] r1 ─ pwb…s (10.244.0.6)
//
// IPVS has no peer: few kernels have the module (its decisions are compared elsewhere, test/support/ipvs-replay.ts).
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { ProxyMode } from '../../src/proxy/config.ts';
import { formatIPv4 } from '../../src/tcpip-ts/wire/address.ts';
import { IPPROTO_UDP } from '../../src/tcpip-ts/wire/ipv4.ts';
import { onEnd } from '../clean-up.ts';
import { BenchNode, LOW } from '../kernel/node.ts';
import { addNetns, deleteNetns, isInstalled, run } from '../wire/contender.ts';

export interface Peer {
  readonly name: string;
  readonly mode: ProxyMode;
  /** Takes the rules from its standard input. */
  readonly load: readonly string[];
}

export const PEERS: readonly Peer[] = [
  { name: 'Linux iptables-legacy', mode: 'iptables', load: ['iptables-legacy-restore'] },
  { name: 'Linux iptables-nft', mode: 'iptables', load: ['iptables-nft-restore'] },
  { name: 'Linux nftables', mode: 'nftables', load: ['nft', '-f', '-'] },
];

export interface PeerResult {
  readonly peer: string;
  readonly services: number;
  readonly loadMs: number;
  readonly firstNs: number[];
  readonly establishedNs: number[];
}

const NODE_MAC = '02:00:00:00:01:01';
const SERVER_MAC = '02:00:00:00:02:02';
/** A round takes about this long, whatever a packet costs. */
const ROUND_NS = 50e6;
const MOST_PACKETS = 4000;

/** Why peers cannot run here; null when they can. */
export function missingForPeers(): string | null {
  if (process.getuid?.() !== 0) return 'not root';
  for (const program of ['ip', 'gcc']) if (!isInstalled(program)) return `${program} is not installed`;
  return null;
}

export function compileSender(dir: string): string {
  const program = join(dir, 'send');
  const source = fileURLToPath(new URL('../../../bench/proxies/send.c', import.meta.url));
  run('gcc', '-O2', '-D_GNU_SOURCE', '-o', program, source);
  return program;
}

export async function measurePeer(peer: Peer, services: number, rounds: number, sender: string): Promise<PeerResult> {
  const rules = rulesText(peer.mode, services);
  const [client, node, server] = ['c', 'n', 's'].map(addNetns) as [string, string, string];
  const close = onEnd(() => {
    for (const netns of [client, node, server]) deleteNetns(netns);
  });
  await setImmediate(); // the tools are waited for as they run: a signal that came meanwhile is met here
  try {
    connect(client, node, server);
    const [command, ...args] = peer.load;
    const start = performance.now();
    execFileSync('ip', ['netns', 'exec', node, command!, ...args], { input: rules, stdio: ['pipe', 'ignore', 'pipe'] });
    const loadMs = performance.now() - start;
    const send = (what: 'first' | 'established', packets: number, times: number): number[] => {
      const before = received(server);
      const vip = formatIPv4(LOW.services);
      const args = [
        's0',
        NODE_MAC,
        formatIPv4(LOW.client),
        vip,
        String(services),
        what,
        String(packets),
        String(times),
      ];
      const out = run('ip', 'netns', 'exec', client, sender, ...args);
      const sent = packets * times + (what === 'established' ? FLOWS : 0);
      if (received(server) - before < sent)
        throw new Error(`${peer.name}: ${received(server) - before} of ${sent} arrived`);
      return out.trim().split('\n').map(Number);
    };
    const [guess] = send('first', 50, 2).slice(1);
    const packets = Math.max(50, Math.min(MOST_PACKETS, Math.round(ROUND_NS / guess!)));
    const firstNs = send('first', packets, rounds + 1).slice(1);
    const establishedNs = send('established', MOST_PACKETS, rounds + 1).slice(1);
    return { peer: peer.name, services, loadMs, firstNs, establishedNs };
  } finally {
    await close();
  }
}

/** Of send.c. */
const FLOWS = 1000;

/** What the emulated kernel would run, in the real tool's own format. */
function rulesText(mode: ProxyMode, services: number): string {
  const node = new BenchNode({ services, proto: IPPROTO_UDP, mode });
  const text = mode === 'nftables' ? node.kernel.nftables.list() : node.kernel.iptables.save();
  node.close();
  return text;
}

function connect(client: string, node: string, server: string): void {
  const ip = (netns: string, ...args: string[]): void => void run('ip', '-n', netns, ...args);
  const veth = (netns: string, device: string, mac: string): void => {
    ip(node, 'link', 'add', device, 'address', mac, 'type', 'veth', 'peer', 'name', 's0', 'netns', netns);
    ip(node, 'link', 'set', device, 'up');
    ip(node, 'addr', 'add', `${formatIPv4(LOW.gateway)}/32`, 'dev', device);
    ip(netns, 'link', 'set', 's0', 'up');
  };
  veth(client, 'r0', NODE_MAC);
  veth(server, 'r1', '02:00:00:00:01:02');
  ip(server, 'link', 'set', 's0', 'address', SERVER_MAC);
  ip(node, 'route', 'add', formatIPv4(LOW.client), 'dev', 'r0');
  ip(node, 'route', 'add', formatIPv4(LOW.server), 'dev', 'r1');
  ip(node, 'neigh', 'add', formatIPv4(LOW.server), 'lladdr', SERVER_MAC, 'dev', 'r1');
  const sysctls = ['ip_forward=1', 'conf.all.rp_filter=0', 'conf.r0.rp_filter=0', 'conf.r1.rp_filter=0'];
  for (const sysctl of sysctls) run('ip', 'netns', 'exec', node, 'sysctl', '-qw', `net.ipv4.${sysctl}`);
}

/** Packets that came to the end of the row. */
function received(server: string): number {
  const path = '/sys/class/net/s0/statistics/rx_packets';
  return Number(run('ip', 'netns', 'exec', server, 'cat', path));
}
