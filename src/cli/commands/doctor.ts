// podwire doctor: what this machine lacks, and how to get it. Exits 0 when netns Pods can be had, 1 otherwise.
import { findProgram, missingForNetns } from '../requirements.ts';

/** Programs that make a cluster pleasant to use, or that the tests compare with. */
const USEFUL: readonly (readonly [program: string, debianPackage: string, use: string])[] = [
  ['curl', 'curl', 'a client in Pods'],
  ['dig', 'bind9-dnsutils', 'a client in Pods; tests'],
  ['ping', 'iputils-ping', 'a client in Pods; tests'],
  ['traceroute', 'traceroute', 'a client in Pods; tests'],
  ['iperf3', 'iperf3', 'bench wire'],
  ['tshark', 'tshark', 'reads captures; tests'],
  ['busybox', 'busybox-static', 'busybox in netns Pods; tests'],
  ['iptables', 'iptables', 'bench wire and proxies; tests'],
  ['ipset', 'ipset', 'tests'],
  ['nft', 'nftables', 'bench proxies; tests'],
  ['slirp4netns', 'slirp4netns', 'bench wire'],
  ['dnsperf', 'dnsperf', 'bench dns; tests'],
  ['dnsmasq', 'dnsmasq-base', 'bench dns'],
  ['unbound', 'unbound', 'bench dns'],
];

export function doctor(): void {
  const say = (line: string): void => void process.stdout.write(`${line}\n`);
  const missing = missingForNetns();
  say(`Node.js ${process.version}: ok`);
  say('userspace Pods: ok (nothing needed)');
  if (missing.length === 0) say('netns Pods: ok');
  else say('netns Pods: not available');
  for (const { what, remedy } of missing) say(`  - ${what}\n    ${remedy}`);
  const absent = USEFUL.filter(([program]) => !findProgram(program));
  if (absent.length === 0) say('programs for clients, benches and tests: all there');
  for (const [program, debianPackage, use] of absent)
    say(`${program}: not found (${use}); apt-get install ${debianPackage}`);
  process.exitCode = missing.length === 0 ? 0 : 1;
}
