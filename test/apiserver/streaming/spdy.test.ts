// The SPDY connection against a client made of frames by hand; e2e/port-forward.test.ts has the real one.
import t, { type Test } from 'tap';
import { SpdyConnection, type SpdyStream } from '../../../src/apiserver/streaming/spdy/connection.ts';
import { HeaderReader, HeaderWriter } from '../../../src/apiserver/streaming/spdy/header-block.ts';
import { fc } from '../../support/property.ts';

const SYN_STREAM = 1;
const SYN_REPLY = 2;
const RST_STREAM = 3;
const PING = 6;

/** Streams and promises need turns of the event loop, and zlib its threads. */
async function turns(done: () => boolean = () => true): Promise<void> {
  const end = performance.now() + 60_000;
  for (let i = 0; i < 5 || (!done() && performance.now() < end); i++) await new Promise((next) => setImmediate(next));
}

interface Peer {
  readonly connection: SpdyConnection;
  readonly streams: SpdyStream[];
  /** What the server has sent: control frames as [type, id], data frames as [id, text, fin]. */
  sent(): (number | string | boolean)[][];
  syn(id: number, headers?: Record<string, string>): Promise<Buffer>;
  readonly paused: boolean[];
  readonly closed: () => boolean;
  /** Lets one held-back write go. */
  drain(): void;
}

function peer(t: Test, { hold = false, refuse = false } = {}): Peer {
  let out = Buffer.alloc(0);
  let closed = false;
  const held: (() => void)[] = [];
  const paused: boolean[] = [];
  const streams: SpdyStream[] = [];
  const writer = new HeaderWriter();
  const connection = new SpdyConnection(
    {
      write: (bytes, done) => {
        out = Buffer.concat([out, bytes]);
        if (hold) held.push(done);
        else done();
      },
      pause: () => paused.push(true),
      resume: () => paused.push(false),
      close: () => {
        closed = true;
      },
    },
    (stream) => {
      if (refuse) throw new Error('no');
      streams.push(stream);
    },
  );
  t.teardown(() => {
    connection.close();
    writer.close();
  });
  return {
    connection,
    streams,
    paused,
    closed: () => closed,
    drain: () => held.shift()?.(),
    sent: () => {
      const frames: (number | string | boolean)[][] = [];
      for (let at = 0; at < out.length; ) {
        const end = at + 8 + out.readUIntBE(at + 5, 3);
        if (out[at]! >= 0x80) frames.push([out.readUInt16BE(at + 2), out.readUInt32BE(at + 8)]);
        else frames.push([out.readUInt32BE(at), out.toString('latin1', at + 8, end), out[at + 4] === 1]);
        at = end;
      }
      return frames;
    },
    syn: async (id, headers = { streamType: 'data' }) => {
      const block = await writer.encode(new Map(Object.entries(headers)));
      const start = Buffer.alloc(10);
      start.writeUInt32BE(id);
      return control(SYN_STREAM, Buffer.concat([start, block]));
    },
  };
}

function control(type: number, payload: Buffer, flags = 0): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(0x80030000 + type);
  head.writeUInt32BE(payload.length, 4);
  head[4] = flags;
  return Buffer.concat([head, payload]);
}

function data(id: number, text: string | Buffer, fin = false): Buffer {
  const bytes = Buffer.from(text);
  const head = Buffer.alloc(8);
  head.writeUInt32BE(id);
  head.writeUInt32BE(bytes.length, 4);
  head[4] = fin ? 1 : 0;
  return Buffer.concat([head, bytes]);
}

function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

t.test('a stream is opened with its headers, answered, and carries data both ways', async (t) => {
  const p = peer(t);
  p.connection.receive(await p.syn(1, { streamType: 'data', Port: '80' }));
  await turns(() => p.sent().length >= 1);
  t.same(
    [...p.streams[0]!.headers],
    [
      ['streamtype', 'data'],
      ['port', '80'],
    ],
    'names in lower case',
  );
  let got = '';
  p.streams[0]!.on('data', (chunk: Buffer) => {
    got += chunk.toString();
  });
  p.connection.receive(data(1, 'question'));
  p.streams[0]!.write('answer');
  await turns();
  t.equal(got, 'question');
  t.same(p.sent(), [
    [SYN_REPLY, 1],
    [1, 'answer', false],
  ]);
});

t.test('headers of later streams are read with the same compression state', async (t) => {
  const p = peer(t);
  for (const id of [1, 3, 5]) p.connection.receive(await p.syn(id, { streamType: 'data', requestID: String(id) }));
  await turns(() => p.sent().length >= 3);
  t.same(
    p.streams.map((s) => s.headers.get('requestid')),
    ['1', '3', '5'],
  );
});

t.test('frames may come in any pieces', async (t) => {
  const p = peer(t);
  const bytes = Buffer.concat([await p.syn(1), data(1, 'ab'), data(1, 'cd', true)]);
  for (const byte of bytes) p.connection.receive(Buffer.from([byte]));
  await turns(() => p.sent().length >= 1);
  const chunks: Buffer[] = [];
  for await (const chunk of p.streams[0]!) chunks.push(chunk as Buffer);
  t.equal(Buffer.concat(chunks).toString(), 'abcd');
});

t.test('each side ends by itself', async (t) => {
  const p = peer(t);
  p.connection.receive(Buffer.concat([await p.syn(1), data(1, '', true)]));
  await turns(() => p.sent().length >= 1);
  const stream = p.streams[0]!;
  stream.resume();
  await turns();
  t.ok(stream.readableEnded);
  stream.end('still');
  await turns();
  t.same(
    p.sent(),
    [
      [SYN_REPLY, 1],
      [1, 'still', false],
      [1, '', true],
    ],
    'what the client has ended is still written to',
  );
});

t.test('a stream destroyed early is reset, one that the client resets goes', async (t) => {
  const p = peer(t);
  p.connection.receive(Buffer.concat([await p.syn(1), await p.syn(3)]));
  await turns(() => p.sent().length >= 2);
  p.streams[0]!.destroy();
  p.connection.receive(control(RST_STREAM, Buffer.concat([word(3), word(5)])));
  await turns();
  t.ok(p.streams[1]!.destroyed);
  t.same(p.sent(), [
    [SYN_REPLY, 1],
    [SYN_REPLY, 3],
    [RST_STREAM, 1],
  ]);
});

t.test('a stream that nobody wants is refused', async (t) => {
  const p = peer(t, { refuse: true });
  p.connection.receive(await p.syn(1));
  await turns(() => p.sent().length >= 1);
  t.same(p.sent(), [[RST_STREAM, 1]]);
});

t.test('a ping comes back', async (t) => {
  const p = peer(t);
  p.connection.receive(control(PING, word(7)));
  await turns();
  t.same(p.sent(), [[PING, 7]]);
});

t.test('a stream that is not read stops the transport until it is', async (t) => {
  const p = peer(t);
  p.connection.receive(await p.syn(1));
  await turns(() => p.sent().length >= 1);
  for (let i = 0; i < 10; i++) p.connection.receive(data(1, Buffer.alloc(60_000)));
  await turns();
  t.same(p.paused, [true]);
  p.streams[0]!.resume();
  await turns();
  t.same(p.paused, [true, false]);
});

t.test('what is written waits for the transport', async (t) => {
  const p = peer(t, { hold: true });
  p.connection.receive(await p.syn(1));
  await turns(() => p.sent().length >= 1);
  p.streams[0]!.write(Buffer.alloc(200_000));
  t.equal(p.sent().length, 2, 'one frame of it');
  p.drain(); // the reply
  p.drain();
  await turns();
  t.equal(p.sent().length, 3);
});

t.test('what is not SPDY ends the connection and its streams', async (t) => {
  const p = peer(t);
  p.connection.receive(await p.syn(1));
  await turns(() => p.sent().length >= 1);
  p.connection.receive(control(SYN_STREAM, Buffer.concat([Buffer.alloc(10), Buffer.from('no headers')])));
  await turns(p.closed);
  t.ok(p.closed());
  t.ok(p.streams[0]!.destroyed);
  const large = peer(t);
  large.connection.receive(Buffer.from([0, 0, 0, 1, 0, 0xff, 0xff, 0xff]));
  await turns();
  t.ok(large.closed(), 'a frame of 16 MiB is not waited for');
});

t.test('no bytes make it throw', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 8 }), async (pieces) => {
      const p = peer(t);
      for (const piece of pieces) p.connection.receive(Buffer.from(piece));
      await turns();
      p.connection.close();
    }),
    { numRuns: 200 },
  );
});

t.test('a header block that says more than it holds is refused', async (t) => {
  const writer = new HeaderWriter();
  const reader = new HeaderReader();
  t.teardown(() => {
    writer.close();
    reader.close();
  });
  const block = await writer.encode(new Map([['a', 'b'.repeat(100)]]));
  t.same([...(await reader.decode(block))], [['a', 'b'.repeat(100)]]);
  await t.rejects(reader.decode(Buffer.from('garbage')));
});
