// examples/services.yml as its first lines tell it: each type of Service from a Pod.
import t from 'tap';
import { Podwire } from '../support/podwire.ts';

t.test('every type of Service answers as its type says', async (t) => {
  const podwire = new Podwire(t);
  await podwire.up(t, '--runtime', 'userspace', '--listen', '127.0.0.1:0', '-f', 'examples/services.yml');
  const curl = async (url: string): Promise<string> => (await podwire.exec('shop/client', 'curl', '-s', url)).stdout;
  const hosts = async (url: string): Promise<string[]> => {
    const seen = [];
    for (let i = 0; i < 6; i++) seen.push(await curl(url));
    return [...new Set(seen)];
  };

  const web = await hosts('web/hostname');
  t.equal(web.length, 3, 'ClusterIP: over all Pods');
  t.ok(
    web.every((name) => /^web-\w+-\w{5}$/.test(name)),
    web.join(),
  );
  t.equal((await hosts('sticky/hostname')).length, 1, 'session affinity');
  t.same((await hosts('192.168.49.2:30080/hostname')).sort(), web.sort(), 'NodePort');
  t.same(await curl('alias/hostname').then((name) => web.includes(name)), true, 'ExternalName');
  t.equal(await curl('db-1.db/hostname'), 'db-1', 'a Pod of the StatefulSet by its own name');

  const dig = async (...query: string[]): Promise<string[]> =>
    (await podwire.exec('shop/client', 'dig', '+short', '+search', ...query)).stdout.trim().split('\n').sort();
  t.same(
    await dig('db'),
    [...(await dig('db-0.db')), ...(await dig('db-1.db'))].sort(),
    'headless: the Pods themselves',
  );
  t.same(
    await dig('SRV', '_http._tcp.db'),
    ['0 50 80 db-0.db.shop.svc.cluster.local.', '0 50 80 db-1.db.shop.svc.cluster.local.'],
    'and where their port is',
  );

  t.match(await curl('192.168.49.2:30080/clientip'), /^10\.244\.0\.1:\d+$|^192\.168\.49\.2:\d+$/, 'masqueraded');
  const [client] = (await podwire.exec('shop/client', 'hostname', '-i')).stdout.trim().split(' ');
  t.equal((await curl('192.168.49.2:30081/clientip')).split(':')[0], client, 'externalTrafficPolicy Local keeps it');
  const trace = await podwire.run('trace', '--pod', 'shop/client', '--to', 'alias:80');
  t.match(trace.stdout, /^Final: DNAT to 10\.244\.0\.\d+:8080/m, 'a trace follows the alias');
});

t.test('the same file answers without a cluster, the modes side by side', async (t) => {
  const podwire = new Podwire(t);
  const file = ['-f', 'examples/services.yml', '--proxy-mode', 'all'];
  const { code, stdout, stderr } = await podwire.run('trace', ...file, '--pod', 'shop/client', '--to', 'web:80');
  t.same([code, stderr], [0, '']);
  t.equal(
    stdout.slice(0, stdout.indexOf('\n\niptables:')),
    `Flow: 10.244.0.2:* > 10.96.1.1:80 tcp

               iptables                 ipvs                     nftables
  verdict      DNAT                     DNAT                     DNAT
  endpoints    10.244.0.3:8080 33.3 %   10.244.0.3:8080 33.3 %   10.244.0.3:8080 33.3 %
               10.244.0.4:8080 33.3 %   10.244.0.4:8080 33.3 %   10.244.0.4:8080 33.3 %
               10.244.0.5:8080 33.3 %   10.244.0.5:8080 33.3 %   10.244.0.5:8080 33.3 %
  masquerade   false                    false                    false`,
  );
});
