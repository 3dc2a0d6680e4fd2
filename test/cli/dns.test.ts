// The command `podwire dns`: all cases of CoreDNS's behaviour through a process of its own and real sockets, UDP and TCP; files
// that change; what it says about wrong input. No root, no cluster.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import type { KubeObject } from '../../src/api/meta.ts';
import { type DecodedReply, decodeMessage, rdataText } from '../../src/dns/message.ts';
import { fakeUpstream, query } from '../dns/harness.ts';
import { type Case, cases, check, corefileOf, objectsOf } from '../dns/sample-cases.ts';
import { namespace, service, slice } from '../dns/support-objects.ts';
import { eventually } from '../support/podwire.ts';

const PODWIRE = join(import.meta.dirname, '../../src/cli/podwire.js');
t.setTimeout(0); // a loaded machine takes long over it; the runner has its own limit
const LIMIT_MS = 60_000; // that nothing hangs

interface Running {
  readonly port: number;
  readonly output: () => string;
  stop(): Promise<number | null>;
}

const folder = mkdtempSync(join(tmpdir(), 'podwire-dns-'));
const started = new Set<ChildProcess>();
t.teardown(() => {
  for (const child of started) child.kill('SIGKILL');
  rmSync(folder, { recursive: true });
});

let files = 0;
function write(text: string, extension = 'json'): string {
  const path = join(folder, `${files++}.${extension}`);
  writeFileSync(path, text);
  return path;
}

function list(objects: readonly KubeObject[]): string {
  return JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects });
}

/** Replaces the file as an editor does. */
function rewrite(path: string, text: string): void {
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}

async function start(...args: readonly string[]): Promise<Running> {
  const child = spawn('env', [
    '-u',
    'NODE_OPTIONS',
    process.execPath,
    PODWIRE,
    'dns',
    '--listen',
    '127.0.0.1:0',
    ...args,
  ]);
  started.add(child);
  let output = '';
  const exit = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const port = await new Promise<number>((resolve, reject) => {
    const read = (chunk: Buffer): void => {
      output += chunk;
      const line = /^listening on 127\.0\.0\.1:(\d+) \(udp, tcp\)$/m.exec(output);
      if (line !== null) resolve(Number(line[1]));
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    void exit.then((code) => reject(new Error(`ended with ${code}: ${output}`)));
  });
  return {
    port,
    output: () => output,
    stop() {
      child.kill('SIGTERM');
      return exit;
    },
  };
}

function askUdp(port: number, name: string, type: string): Promise<DecodedReply> {
  return new Promise((resolve, reject) => {
    const socket = createSocket('udp4');
    const timer = setTimeout(() => {
      socket.close();
      reject(new Error(`no reply for ${name} ${type}`));
    }, LIMIT_MS);
    socket.once('message', (bytes) => {
      clearTimeout(timer);
      socket.close();
      resolve(decodeMessage(bytes)!);
    });
    socket.send(query(name, type), port, '127.0.0.1');
  });
}

function askTcp(port: number, name: string, type: string): Promise<DecodedReply> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1' });
    let got = Buffer.alloc(0);
    socket.setTimeout(LIMIT_MS, () => socket.destroy(new Error(`no reply for ${name} ${type}`)));
    socket.once('error', reject);
    socket.on('data', (chunk) => {
      got = Buffer.concat([got, chunk]);
      if (got.length < 2 || got.length < 2 + got.readUInt16BE(0)) return;
      socket.destroy();
      resolve(decodeMessage(got.subarray(2))!);
    });
    const bytes = query(name, type);
    socket.write(Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes]));
  });
}

/** A server for what is forwarded, on a free port of loopback. */
async function upstreamFor(c: Case): Promise<{ address: string; close: () => void }> {
  const answer = fakeUpstream(c.server.upstream ?? {});
  const socket = createSocket('udp4');
  socket.on('message', (bytes, from) => {
    const reply = answer(bytes, from);
    if (reply !== undefined && !(reply instanceof Error)) socket.send(reply, from.port, from.address);
  });
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  return { address: `127.0.0.1:${socket.address().port}`, close: () => void socket.close() };
}

/** Asks again until the reply is as wanted. */
function until(wanted: () => Promise<boolean>): Promise<void> {
  return eventually('the reply is as wanted', wanted);
}

// Cases with the same objects and configuration share a process.
const groups = new Map<string, Case[]>();
for (const c of cases) {
  const key = JSON.stringify([c.objects, c.server, c.objectsAddedFirst ?? []]);
  groups.set(key, [...(groups.get(key) ?? []), c]);
}
// A process costs a third of a second: of our own cases those that are many are played here, all of them in ../dns/cases.test.ts.
const played = [...groups.values()].filter((group) => !group[0]!.tags.includes('more') || group.length > 12);

for (const group of played) {
  const [first] = group as [Case];
  const { synced = true } = first.server;
  const skip = synced ? false : 'files are read before the start: there is no time before the first sync';
  t.test(`${first.objects}: ${group.map((c) => c.id).join(', ')}`, { skip }, async (t) => {
    const upstream = await upstreamFor(first);
    const objects = objectsOf(first, '127.0.0.1');
    const manifest = write(list(objects));
    const dns = await start('-f', manifest, '--corefile', write(corefileOf(first, upstream.address), 'Corefile'));
    const added = first.objectsAddedFirst;
    if (added !== undefined) {
      rewrite(manifest, list([...objects, ...added]));
      await until(async () => (await askUdp(dns.port, first.query.name, first.query.type)).rcode === 0);
    }
    for (const c of group) {
      await t.test(`${c.id}: ${c.name}`, async (t) => {
        check(t, c, await askUdp(dns.port, c.query.name, c.query.type));
        check(t, c, await askTcp(dns.port, c.query.name, c.query.type));
      });
    }
    t.equal(await dns.stop(), 0);
    upstream.close();
  });
}

t.test('several files, YAML and JSON, with kinds that are not for DNS; --ttl', async (t) => {
  const yaml = write(
    [
      'apiVersion: apps/v1',
      'kind: Deployment',
      'metadata: {name: web}',
      '---',
      'apiVersion: example.org/v1',
      'kind: Unknown',
      'metadata: {name: x}',
      '---',
      'apiVersion: v1',
      'kind: Service',
      'metadata: {name: web}',
      'spec: {clusterIP: 10.96.0.7, ports: [{port: 80}]}',
    ].join('\n'),
    'yaml',
  );
  const dns = await start(
    '-f',
    yaml,
    '-f',
    write(list([service('db', '10.96.0.8', undefined, 'prod'), service('new', '')])),
    '--ttl',
    '77',
  );
  const web = await askUdp(dns.port, 'web.default.svc.cluster.local.', 'A');
  const db = await askUdp(dns.port, 'db.prod.svc.cluster.local.', 'A');
  t.strictSame([...web.answer, ...db.answer].map(rdataText), ['10.96.0.7', '10.96.0.8']);
  t.equal(web.answer[0]!.ttl, 77);
  const servers = await askUdp(dns.port, 'cluster.local.', 'NS');
  t.strictSame(servers.additional.map(rdataText), ['127.0.0.1'], 'the name server is where it listens');
  t.match(dns.output(), `[WARNING] ${yaml}: no matches for kind "Unknown" in version "example.org/v1", passed over`);
  t.match(dns.output(), ': Service default/new has no clusterIP, so its name has no address; give it spec.clusterIP\n');
  t.notMatch(dns.output(), 'Deployment');
  await dns.stop();
});

t.test('a directory of manifests, and Endpoints where there is no slice', async (t) => {
  const directory = mkdtempSync(join(folder, 'manifests-'));
  const put = (name: string, objects: readonly KubeObject[]): void =>
    writeFileSync(join(directory, name), list(objects));
  const endpoints = (name: string, ...ips: string[]): KubeObject =>
    ({
      apiVersion: 'v1',
      kind: 'Endpoints',
      metadata: { name, namespace: 'default' },
      subsets: [{ addresses: ips.map((ip) => ({ ip })), ports: [{ name: 'http', port: 80, protocol: 'TCP' }] }],
    }) as KubeObject;
  put('b.json', [endpoints('db', '10.244.0.5', 'fd00::5'), endpoints('old', '10.244.0.6')]);
  put('a.json', [service('db', 'None'), service('old', 'None'), slice('old', ['10.244.0.7'])]);
  writeFileSync(join(directory, 'notes.txt'), 'not a manifest');
  const dns = await start('-f', directory);
  const ask = async (name: string, type: string): Promise<string[]> =>
    (await askUdp(dns.port, `${name}.default.svc.cluster.local.`, type)).answer.map(rdataText);
  t.strictSame(await ask('db', 'A'), ['10.244.0.5']);
  t.strictSame(await ask('db', 'AAAA'), ['fd00::5']);
  t.strictSame(await ask('old', 'A'), ['10.244.0.7'], 'the slice counts');
  put('c.json', [service('new', '10.96.0.9')]);
  await until(async () => (await ask('new', 'A')).join() === '10.96.0.9');
  rmSync(join(directory, 'c.json'));
  await until(async () => (await ask('new', 'A')).length === 0);
  await dns.stop();
});

t.test('a changed file shows at once; a wrong one changes nothing and is told of', async (t) => {
  const path = write(list([namespace('default'), service('web', '10.96.0.7')]));
  const dns = await start('-f', path);
  const address = async (): Promise<string | undefined> => {
    const [record] = (await askUdp(dns.port, 'web.default.svc.cluster.local.', 'A')).answer;
    return record && rdataText(record);
  };
  t.equal(await address(), '10.96.0.7');
  for (const next of ['10.96.0.8', '10.96.0.9']) {
    rewrite(path, list([namespace('default'), service('web', next)]));
    await until(async () => (await address()) === next);
  }
  rewrite(path, '{"apiVersion": "v1", "kind": "Service",\n "metadata": {"name": "web"}}');
  await until(async () => dns.output().includes('[ERROR]'));
  t.match(dns.output(), `${path}:1:1: Service web: spec is missing`);
  t.equal(await address(), '10.96.0.9');
  rewrite(path, list([namespace('default')]));
  await until(async () => (await address()) === undefined);
  await dns.stop();
});

t.test('wrong input is told of with its place', async (t) => {
  const refused = (...args: string[]): Promise<{ code: unknown; output: string }> =>
    new Promise((resolve) => {
      execFile(process.execPath, [PODWIRE, 'dns', ...args], { timeout: LIMIT_MS }, (error, stdout, stderr) =>
        resolve({ code: error?.code ?? 0, output: stdout + stderr }),
      );
    });
  const good = write(list([namespace('default')]));
  const corefile = write('.:53 {\n  errors\n  bogus x\n}\n', 'Corefile');
  t.match(await refused('-f', good, '--corefile', corefile, '--listen', '127.0.0.1:0'), {
    code: 1,
    output: `${corefile}:3 - Error during parsing: Unknown directive 'bogus' (column 3)`,
  });
  const yaml = write('apiVersion: v1\nkind: Service\nmetadata:\n  name: [\n', 'yaml');
  const { code, output } = await refused('-f', yaml, '--listen', '127.0.0.1:0');
  t.equal(code, 1);
  t.ok(output.startsWith(`podwire: ${yaml}:`), output);
  t.match(await refused('-f', join(folder, 'none.yaml')), {
    code: 1,
    output: /^podwire: open .*none.yaml: no such file/,
  });
  t.match(await refused('-f', good, '--listen', 'localhost'), { code: 2, output: /expected ADDRESS:PORT/ });
  t.match(await refused(), { code: 2, output: /-f FILE/ });
});
