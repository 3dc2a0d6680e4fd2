// The cases of CoreDNS's behaviour in this process, on sockets in memory. test/cli/dns.test.ts plays them through the command.
import t from 'tap';
import { fakeUpstream, startDns } from './harness.ts';
import { cases, check, corefileOf, objectsOf } from './sample-cases.ts';

for (const c of cases) {
  t.test(`${c.id}: ${c.name}`, async (t) => {
    const dns = await startDns({
      corefile: corefileOf(c, '192.0.2.1'),
      objects: [...objectsOf(c, '10.244.0.9'), ...(c.objectsAddedFirst ?? [])],
      synced: c.server.synced ?? true,
      boundElsewhere: true,
      ...(c.server.upstream ? { upstream: fakeUpstream(c.server.upstream) } : {}),
    });
    check(t, c, await dns.ask(c.query.name, c.query.type));
    await dns.stop();
  });
}
