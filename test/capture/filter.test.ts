import t from 'tap';
import { compileFilter, FilterError } from '../../src/capture/filter.ts';
import { type Skb, SkbPool } from '../../src/tcpip-ts/skb.ts';
import { ipv4 } from '../../src/tcpip-ts/wire/address.ts';
import { put16 } from '../../src/tcpip-ts/wire/bytes.ts';
import { ETH_P_ARP, ETH_P_IP, emitEthernet } from '../../src/tcpip-ts/wire/ethernet.ts';
import { emitIPv4, IPPROTO_TCP, IPPROTO_UDP } from '../../src/tcpip-ts/wire/ipv4.ts';

const pool = new SkbPool(16);

function frame(proto: number, saddr: string, sport: number, daddr: string, dport: number): Skb {
  const skb = pool.alloc()!;
  emitEthernet(skb.bytes, skb.mh, 1, 2, ETH_P_IP);
  skb.tail = skb.nh + 28;
  emitIPv4(skb.bytes, skb.nh, 0, 28, 1, 0, 64, proto, ipv4(saddr), ipv4(daddr));
  put16(skb.bytes, skb.nh + 20, sport);
  put16(skb.bytes, skb.nh + 22, dport);
  return skb;
}

function arp(): Skb {
  const skb = pool.alloc()!;
  emitEthernet(skb.bytes, skb.mh, 1, 2, ETH_P_ARP);
  skb.tail = skb.nh + 28;
  return skb;
}

const dns = frame(IPPROTO_UDP, '10.244.0.5', 40000, '10.96.0.10', 53);
const web = frame(IPPROTO_TCP, '10.244.0.6', 8080, '10.244.0.5', 50000);
const who = arp();

t.test('primitives and their combinations', async (t) => {
  const cases: [string, boolean, boolean, boolean][] = [
    ['', true, true, true],
    ['udp', true, false, false],
    ['arp', false, false, true],
    ['ip', true, true, false],
    ['port 53', true, false, false],
    ['src port 53', false, false, false],
    ['dst port 53', true, false, false],
    ['tcp port 53', false, false, false],
    ['host 10.244.0.5', true, true, false],
    ['src host 10.244.0.5', true, false, false],
    ['net 10.96.0.0/12', true, false, false],
    ['dst net 10.244.0.0/16', false, true, false],
    ['udp port 53 or arp', true, false, true],
    ['not ip', false, false, true],
    ['ip and not (udp or port 1)', false, true, false],
    ['!udp && !arp', false, true, false],
  ];
  for (const [text, onDns, onWeb, onArp] of cases) {
    const filter = compileFilter(text);
    t.same([filter(dns, true), filter(web, true), filter(who, true)], [onDns, onWeb, onArp], text || '(empty)');
  }
});

t.test('a bare IP packet is looked at without a link header', async (t) => {
  t.ok(compileFilter('udp port 53')(dns, false));
  t.notOk(compileFilter('arp')(who, false));
});

t.test('a malformed filter says what was expected and what was found', async (t) => {
  for (const [text, message] of [
    ['port', 'filter: expected a port number, found the end'],
    ['host example', 'filter: expected an IPv4 address, found "example"'],
    ['udp udp', 'filter: expected the end, `and` or `or`, found "udp"'],
    ['(udp', 'filter: expected `)`, found the end'],
    ['src', 'filter: expected `host`, `net` or `port`, found the end'],
    ['proto 3', 'filter: expected `host`, `net`, `port`, or one of arp ip icmp tcp udp, found "proto"'],
  ] as const) {
    t.throws(() => compileFilter(text), new FilterError(message));
  }
});
