// The server over the machine's own sockets on loopback, asked by the real dig, nslookup, kdig and drill, and over raw TCP.
import { execFile } from 'node:child_process';
import { connect } from 'node:net';
import { promisify } from 'node:util';
import t from 'tap';
import { rcodeText } from '../../src/dns/constants.ts';
import { type DecodedReply, decodeMessage } from '../../src/dns/message.ts';
import { nodeSockets } from '../../src/dns/node-sockets.ts';
import { runCoreDns } from '../../src/dns/run.ts';
import { RealClock } from '../../src/lib/clock.ts';
import { SeededRng } from '../../src/lib/rng.ts';
import { query, StaticObjects } from './harness.ts';
import { namespace, service, slice } from './support-objects.ts';

const run = promisify(execFile);
const ADDRESSES = Array.from({ length: 60 }, (_, i) => `10.244.1.${i + 1}`);
const OBJECTS = [
  namespace('default'),
  service('web', '10.96.0.7'),
  service('db', 'None'),
  slice('db', [{ addresses: ['10.244.0.5'], hostname: 'db-0', conditions: { ready: true } }]),
  service('many', 'None'),
  slice('many', ADDRESSES),
];
const COREFILE = `.:0 {
  errors
  kubernetes cluster.local in-addr.arpa {
    ttl 30
  }
}
`;

async function start(): Promise<{ port: number; stop: () => Promise<number> }> {
  const abort = new AbortController();
  let onPort: (port: number) => void;
  const port = new Promise<number>((resolve) => {
    onPort = resolve;
  });
  const ended = runCoreDns({
    ...{ sockets: nodeSockets(), objects: new StaticObjects(OBJECTS), corefile: COREFILE, clock: new RealClock() },
    ...{ rng: new SeededRng(1), log: () => {}, signal: abort.signal, localAddresses: [], resolvConf: '' },
    onListening: ([first]) => onPort(first!),
  });
  const stop = (): Promise<number> => {
    abort.abort();
    return ended;
  };
  return { port: await port, stop };
}

/** Runs the client; undefined, with a skip or in CI a failure, when the machine has none. */
async function client(
  t: { fail(message: string): unknown; comment(message: string): unknown },
  command: string,
  args: string[],
): Promise<string | undefined> {
  try {
    return (await run(command, args, { timeout: 60_000 })).stdout;
  } catch (error) {
    const { code, stdout } = error as { code?: unknown; stdout?: string };
    if (code !== 'ENOENT') return stdout ?? '';
    if (process.env['CI']) t.fail(`needs ${command}`);
    else t.comment(`skipped: needs ${command}`);
    return undefined;
  }
}

t.test('dig: answers, flags, authority, EDNS, TCP', async (t) => {
  const { port, stop } = await start();
  const dig = (...args: string[]) =>
    client(t, 'dig', ['@127.0.0.1', '-p', String(port), '+tries=1', '+time=30', ...args]);
  const web = await dig('Web.default.svc.cluster.local', 'A');
  if (web !== undefined) {
    t.match(web, /status: NOERROR/);
    t.match(web, /flags: qr aa rd; QUERY: 1, ANSWER: 1, AUTHORITY: 0, ADDITIONAL: 1/);
    t.match(web, /^Web\.default\.svc\.cluster\.local\. 30 IN\s+A\s+10\.96\.0\.7$/m, 'spelled as asked');
    t.match(web, /EDNS: version: 0, flags:; udp: 1232/, "the client's own size");
    t.match(web, /\(echoed\)/, 'and its cookie');
    t.notMatch(web, /WARNING: .*(malformed|extra bytes|mismatch)/i);

    const missing = await dig('nope.default.svc.cluster.local', 'A');
    t.match(missing, /status: NXDOMAIN/);
    t.match(
      missing,
      /^cluster\.local\.\s+30\s+IN\s+SOA\s+ns\.dns\.cluster\.local\. hostmaster\.cluster\.local\. \d+ 7200 1800 86400 30$/m,
    );

    const srv = await dig('_http._tcp.db.default.svc.cluster.local', 'SRV');
    t.match(srv, /SRV\s+0 100 80 db-0\.db\.default\.svc\.cluster\.local\.$/m);
    t.match(srv, /^db-0\.db\.default\.svc\.cluster\.local\. 30 IN A\s+10\.244\.0\.5$/m);

    t.equal((await dig('-x', '10.96.0.7', '+short'))?.trim(), 'web.default.svc.cluster.local.');
    t.match(await dig('dns-version.cluster.local', 'TXT', '+short'), '"1.1.0"');
    t.match(await dig('cluster.local', 'AXFR'), /Transfer failed/);
    t.match(await dig('example.org', 'A'), /status: SERVFAIL/);

    const many = ['many.default.svc.cluster.local', 'A'];
    t.match(await dig(...many, '+noedns', '+ignore'), /flags: qr aa tc rd;.* ANSWER: 29,/, 'cut to 512 bytes');
    t.match(await dig(...many, '+noedns'), /Truncated, retrying in TCP mode[\s\S]*ANSWER: 60,/);
    t.match(await dig(...many, '+bufsize=4096'), /flags: qr aa rd;.* ANSWER: 60,/);
    t.match(await dig(...many, '+tcp'), /ANSWER: 60,[\s\S]*\(TCP\)/);
    t.match(await dig('web.default.svc.cluster.local', '+edns=1', '+noednsneg'), /status: BADVERS/);
    t.match(await dig('web.default.svc.cluster.local', '+dnssec'), /flags: do;/);
    t.match(await dig('web.default.svc.cluster.local', '+opcode=UPDATE'), /status: NOTIMP/);
    t.match(await dig('web.default.svc.cluster.local', '-c', 'CH'), /status: REFUSED/);
  }
  t.equal(await stop(), 0);
});

t.test('nslookup, kdig and drill agree', async (t) => {
  const { port, stop } = await start();
  const nslookup = await client(t, 'nslookup', [`-port=${port}`, 'web.default.svc.cluster.local.', '127.0.0.1']);
  if (nslookup !== undefined) t.match(nslookup, /Name:\s+web\.default\.svc\.cluster\.local\nAddress: 10\.96\.0\.7/);
  const kdig = await client(t, 'kdig', ['@127.0.0.1', '-p', String(port), 'many.default.svc.cluster.local', '+short']);
  if (kdig !== undefined) t.strictSame(kdig.trim().split('\n').sort(), [...ADDRESSES].sort());
  const drill = await client(t, 'drill', ['-p', String(port), '@127.0.0.1', 'web.default.svc.cluster.local', 'A']);
  if (drill !== undefined) t.match(drill, /^web\.default\.svc\.cluster\.local\.\s+30\s+IN\s+A\s+10\.96\.0\.7$/m);
  await stop();
});

t.test('TCP: pipelined in any cut, half-closed, with junk between', async (t) => {
  const { port, stop } = await start();
  const framed = (bytes: Uint8Array): Buffer =>
    Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes]);
  const names = ['web', 'db', 'nope', 'many', 'web'].map((name) => `${name}.default.svc.cluster.local.`);
  const stream = Buffer.concat([
    ...names.map((name) => framed(query(name, 'A'))),
    framed(new Uint8Array(5)),
    framed(query(names[0]!, 'AAAA')),
  ]);
  for (const step of [1, 7, stream.length]) {
    const replies = await new Promise<DecodedReply[]>((resolve, reject) => {
      const socket = connect(port, '127.0.0.1');
      let data = Buffer.alloc(0);
      socket.on('error', reject);
      socket.on('data', (chunk) => {
        data = Buffer.concat([data, chunk]);
      });
      socket.on('end', () => {
        const out: DecodedReply[] = [];
        for (let at = 0; at < data.length; at += 2 + data.readUInt16BE(at)) {
          out.push(decodeMessage(data.subarray(at + 2, at + 2 + data.readUInt16BE(at)))!);
        }
        resolve(out);
      });
      for (let at = 0; at < stream.length; at += step) socket.write(stream.subarray(at, at + step));
      socket.end();
    });
    t.strictSame(
      replies.map((r) => `${r.question!.name.split('.')[0]} ${rcodeText(r.rcode)} ${r.answer.length}`),
      [...['web NOERROR 1', 'db NOERROR 1', 'nope NXDOMAIN 0', 'many NOERROR 60', 'web NOERROR 1', 'web NOERROR 0']],
    );
  }
  await stop();
});

t.test('a taken port is an error with its name, and leaves nothing open', async (t) => {
  const { port, stop } = await start();
  const lines: string[] = [];
  const code = await runCoreDns({
    ...{
      sockets: nodeSockets(),
      objects: new StaticObjects(OBJECTS),
      corefile: COREFILE.replace(':0', `:${port}`),
      clock: new RealClock(),
    },
    ...{ rng: new SeededRng(1), log: (line: string) => void lines.push(line), signal: new AbortController().signal },
    ...{ localAddresses: [], resolvConf: '' },
  });
  t.equal(code, 1);
  t.match(lines[0], `EADDRINUSE`);
  await stop();
});
