// The kernel judge's world in real network namespaces: a Node that forwards, with our rules in it, and around it a Pod, the
// outside and the endpoints, each behind a veth. The addresses are those of service-mix.ts.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import type { Attempt, Tally } from './judge-client.ts';
import { addNetns, sh } from './netns.ts';
import { CLIENTS, type Client, ENDPOINTS, NODE_IPS, TARGET_PORT } from './service-mix.ts';

const GATEWAY = '10.244.0.1';

export interface JudgeWorld {
  /** The Node's namespace. */
  readonly node: string;
  /** Runs the attempts of each client, all clients at once; O(their tries). */
  run(attempts: Readonly<Record<Client, readonly Attempt[]>>): Promise<Map<number, Tally>>;
}

/** Gone when `t` ends. */
export async function judgeWorld(t: Test): Promise<JudgeWorld> {
  const [node, pod, outside, endpoints] = [addNetns(t), addNetns(t), addNetns(t), addNetns(t)];
  // icmp_ratemask: every refusal is to be heard.
  for (const line of ['net.ipv4.ip_forward=1', 'net.ipv4.icmp_ratemask=0', 'net.ipv4.conf.all.send_redirects=0'])
    sh(`ip netns exec ${node} sysctl -qw ${line}`);
  for (const ns of [node, pod, outside, endpoints]) {
    for (const name of ['all', 'default']) sh(`ip netns exec ${ns} sysctl -qw net.ipv4.conf.${name}.rp_filter=0`);
  }
  cable(node, 'pod', pod);
  cable(node, 'net', outside);
  cable(node, 'eps', endpoints);
  for (const device of ['pod', 'eps']) sh(`ip -n ${node} addr add ${GATEWAY}/32 dev ${device}`);
  sh(`ip -n ${node} addr add ${NODE_IPS[0]}/24 dev net && ip -n ${node} addr add ${NODE_IPS[1]}/32 dev lo`);
  sh(`ip -n ${node} route add default via 192.168.49.1`);
  sh(`ip -n ${node} route add ${CLIENTS.pod}/32 dev pod && ip -n ${node} route add 10.244.1.0/24 dev eps`);
  sh(`ip -n ${pod} addr add ${CLIENTS.pod}/32 dev eth0`);
  for (const address of ENDPOINTS) sh(`ip -n ${endpoints} addr add ${address}/32 dev eth0`);
  for (const ns of [pod, endpoints])
    sh(`ip -n ${ns} route add ${GATEWAY} dev eth0 && ip -n ${ns} route add default via ${GATEWAY}`);
  for (const address of ['192.168.49.1/24', `${CLIENTS.outside}/32`, `${CLIENTS.blocked}/32`])
    sh(`ip -n ${outside} addr add ${address} dev eth0`);
  sh(`ip -n ${outside} route add default via ${NODE_IPS[0]}`);

  const asked = { addresses: ENDPOINTS, tcp: TARGET_PORT.TCP, udp: TARGET_PORT.UDP };
  const server = spawnIn(endpoints, 'judge-server.js', JSON.stringify(asked));
  t.teardown(async () => {
    server.kill();
    if (server.exitCode === null && server.signalCode === null) await once(server, 'exit');
  });
  await once(server.stdout, 'data');

  const places: Readonly<Record<Client, string>> = { pod, outside, blocked: outside, node };
  return {
    node,
    run: async (attempts) => {
      const tallies = await Promise.all(
        (Object.keys(places) as Client[]).map(async (client) => {
          const process = spawnIn(places[client], 'judge-client.js');
          process.stdin.end(JSON.stringify(attempts[client]));
          return JSON.parse(await text(process.stdout)) as Tally[];
        }),
      );
      return new Map(tallies.flat().map((tally) => [tally.id, tally]));
    },
  };
}

/** Device `device` of the Node, `eth0` at the other end. */
function cable(node: string, device: string, far: string): void {
  sh(`ip -n ${node} link add ${device} type veth peer name eth0 netns ${far}`);
  sh(`ip -n ${node} link set ${device} up && ip -n ${far} link set eth0 up`);
}

function spawnIn(ns: string, script: string, ...args: string[]) {
  const path = fileURLToPath(new URL(script, import.meta.url));
  return spawn('ip', ['netns', 'exec', ns, process.execPath, path, ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
}
