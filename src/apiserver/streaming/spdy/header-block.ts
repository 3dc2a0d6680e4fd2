// The headers of SPDY/3.1 frames (draft-mbelshe-httpbis-spdy-00, 2.6.10): pairs of length-prefixed names and values, compressed with
// one zlib stream for each direction of a connection, both begun with the dictionary that the draft gives.
import { constants, createDeflate, createInflate, type Deflate, type Inflate } from 'node:zlib';

/** As much as a client may send for one stream. */
const MAX_BYTES = 64 * 1024;

// 2.6.10.1: words with their lengths before them, and a tail without.
const WORDS =
  'options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow authorization ' +
  'cache-control connection content-base content-encoding content-language content-length content-location content-md5 ' +
  'content-range content-type date etag expect expires from host if-match if-modified-since if-none-match if-range ' +
  'if-unmodified-since last-modified location max-forwards pragma proxy-authenticate proxy-authorization range referer retry-after ' +
  'server te trailer transfer-encoding upgrade user-agent vary via warning www-authenticate method get status 200_OK version ' +
  'HTTP/1.1 url public set-cookie keep-alive origin';
const TAIL =
  '100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 Non-Authoritative Information' +
  '204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error' +
  '501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, ' +
  'Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,' +
  'publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.';

const DICTIONARY = Buffer.concat([...WORDS.split(' ').map((word) => field(word.replace('_', ' '))), Buffer.from(TAIL)]);

/** Reads the blocks of one direction, in order. */
export class HeaderReader {
  readonly #inflate = createInflate({ dictionary: DICTIONARY, readableHighWaterMark: MAX_BYTES } as object);

  /** Rejects on what is no header block; nothing can be read after that. */
  async decode(block: Buffer): Promise<Map<string, string>> {
    const bytes = await through(this.#inflate, block);
    const headers = new Map<string, string>();
    let at = 4;
    const next = (): string => {
      const end = at + 4 + bytes.readUInt32BE(at);
      const text = bytes.toString('utf8', at + 4, end);
      at = end;
      return text;
    };
    for (let left = bytes.readUInt32BE(0); left > 0; left--) headers.set(next().toLowerCase(), next());
    return headers;
  }

  close(): void {
    this.#inflate.close();
  }
}

/** Writes the blocks of one direction, in order. */
export class HeaderWriter {
  readonly #deflate = createDeflate({ dictionary: DICTIONARY });

  encode(headers: ReadonlyMap<string, string>): Promise<Buffer> {
    const fields = [...headers].flatMap(([name, value]) => [field(name), field(value)]);
    return through(this.#deflate, Buffer.concat([uint32(headers.size), ...fields]));
  }

  close(): void {
    this.#deflate.close();
  }
}

/** What comes out of `codec` for `input`. */
function through(codec: Deflate | Inflate, input: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    codec.once('error', reject);
    codec.write(input);
    codec.flush(constants.Z_SYNC_FLUSH, () => {
      codec.off('error', reject);
      resolve((codec.read() as Buffer | null) ?? Buffer.alloc(0));
    });
  });
}

function field(text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([uint32(bytes.length), bytes]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
