// What lies beyond a Node: a gateway that answers ARP, says at once that it knows no way on, and lets nothing out.
import { setImmediate } from 'node:timers/promises';
import t from 'tap';
import { connectUplink, gatewayOf } from '../../src/cluster/uplink.ts';
import { Breath } from '../../src/lib/breath.ts';
import { SeededRng } from '../../src/lib/rng.ts';
import { formatIPv4, ipv4 } from '../../src/tcpip-ts/wire/address.ts';
import { Lab, NODE_IP, POD_A } from '../support/kernel.ts';
import { ip, udp } from '../support/packet.ts';

t.test('who sends to nobody hears of it from the gateway, each time', async (t) => {
  const lab = new Lab();
  lab.pod('a', POD_A);
  const { clock, pool, kernel } = lab;
  const breath = new Breath((fn) => clock.after(0, fn));
  const env = { clock, pool, breath, rng: new SeededRng(1), hostname: 'node-1' };
  const close = connectUplink(kernel, env, { address: ipv4(NODE_IP), podCIDR: '10.244.0.0/24' });
  const settled = async (): Promise<void> => {
    for (let i = 0; i < 10; i++) {
      await setImmediate();
      lab.settle();
    }
  };
  for (let sport = 1; sport <= 10; sport++) {
    lab.from('a', ip({ saddr: POD_A, daddr: '8.8.8.8' }, udp({ sport, dport: 53 })));
    await settled();
    t.match(lab.take('a'), [{ ip: { saddr: '192.168.49.1', daddr: POD_A }, icmp: { type: 3, code: 0 } }]);
  }
  t.same(lab.faults, []);
  close();
  lab.close();
  await settled();
  t.equal(pool.available, pool.size, 'every skb is given back');
});

t.test('the gateway has the first address of the network, and makes way for a Node that has it', async (t) => {
  t.equal(formatIPv4(gatewayOf(ipv4('192.168.49.2'))), '192.168.49.1');
  t.equal(formatIPv4(gatewayOf(ipv4('192.168.49.1'))), '192.168.49.254');
});
