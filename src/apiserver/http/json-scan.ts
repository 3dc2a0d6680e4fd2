// A look over JSON text beyond what JSON.parse tells: what is wrong with it in the words of Go's encoding/json, and which members an
// object names twice, by path, as sigs.k8s.io/json reports them to strict decoding. One pass, no values are made.
//
// Deviation: Go gives up below 10,000 levels; here it is 1,000, because what works on the values later recurses.

export class JsonSyntaxError extends Error {
  override readonly name = 'JsonSyntaxError';
}

const MAX_DEPTH = 1000;

/** Paths of members that come again in their object: `spec.ports[0].name`. Throws JsonSyntaxError. */
export function duplicateMembers(text: string): string[] {
  return new Scanner(text).scan();
}

class Scanner {
  readonly #text: string;
  readonly #duplicates: string[] = [];
  readonly #path: (string | number)[] = [];
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  scan(): string[] {
    this.#value();
    this.#space();
    if (this.#at < this.#text.length) throw this.#unexpected('after top-level value');
    return this.#duplicates;
  }

  #value(): void {
    this.#space();
    const first = this.#text[this.#at];
    if (first === '{') this.#object();
    else if (first === '[') this.#array();
    else if (first === '"') this.#string();
    else if (first === 't') this.#literal('true');
    else if (first === 'f') this.#literal('false');
    else if (first === 'n') this.#literal('null');
    else this.#number();
  }

  #object(): void {
    this.#enter();
    const seen = new Set<string>();
    this.#at++;
    this.#space();
    if (this.#text[this.#at] === '}') this.#at++;
    else {
      for (;;) {
        this.#space();
        if (this.#text[this.#at] !== '"') throw this.#unexpected('looking for beginning of object key string');
        const name = this.#string();
        this.#path.push(name);
        if (seen.has(name)) this.#duplicates.push(this.#where());
        seen.add(name);
        this.#space();
        if (this.#text[this.#at] !== ':') throw this.#unexpected('after object key');
        this.#at++;
        this.#value();
        this.#path.pop();
        if (this.#ends('}', 'after object key:value pair')) break;
      }
    }
  }

  #array(): void {
    this.#enter();
    this.#at++;
    this.#space();
    if (this.#text[this.#at] === ']') {
      this.#at++;
      return;
    }
    for (let i = 0; ; i++) {
      this.#path.push(i);
      this.#value();
      this.#path.pop();
      if (this.#ends(']', 'after array element')) return;
    }
  }

  /** After a member: true at the end of its container, false at a comma. */
  #ends(close: string, place: string): boolean {
    this.#space();
    const next = this.#text[this.#at];
    if (next !== close && next !== ',') throw this.#unexpected(place);
    this.#at++;
    return next === close;
  }

  #string(): string {
    const start = this.#at++;
    let escaped = false;
    for (;;) {
      const code = this.#text.charCodeAt(this.#at);
      if (Number.isNaN(code)) throw this.#unexpected('');
      if (code === 0x22) break;
      if (code < 0x20) throw this.#unexpected('in string literal');
      if (code === 0x5c) {
        escaped = true;
        this.#escape();
      } else this.#at++;
    }
    const raw = this.#text.slice(start + 1, this.#at++);
    return escaped ? (JSON.parse(`"${raw}"`) as string) : raw;
  }

  #escape(): void {
    this.#at++;
    const kind = this.#text[this.#at];
    if (kind === undefined || !'"\\/bfnrtu'.includes(kind)) throw this.#unexpected('in string escape code');
    this.#at++;
    if (kind !== 'u') return;
    for (let i = 0; i < 4; i++, this.#at++) {
      if (!/[0-9a-fA-F]/.test(this.#text[this.#at] ?? '')) {
        throw this.#unexpected('in \\u hexadecimal character escape');
      }
    }
  }

  #literal(word: string): void {
    for (let i = 0; i < word.length; i++, this.#at++) {
      if (this.#text[this.#at] === word[i]) continue;
      throw this.#unexpected(`in literal ${word} (expecting ${quoted(word[i]!)})`);
    }
  }

  #number(): void {
    const digits = (place: string): void => {
      if (!this.#isDigit()) throw this.#unexpected(place);
      while (this.#isDigit()) this.#at++;
    };
    if (this.#text[this.#at] === '-') {
      this.#at++;
      if (!this.#isDigit()) throw this.#unexpected('in numeric literal');
    } else if (!this.#isDigit()) throw this.#unexpected('looking for beginning of value');
    if (this.#text[this.#at] === '0') this.#at++;
    else digits('in numeric literal');
    if (this.#text[this.#at] === '.') {
      this.#at++;
      digits('after decimal point in numeric literal');
    }
    if (this.#text[this.#at] === 'e' || this.#text[this.#at] === 'E') {
      this.#at++;
      if (this.#text[this.#at] === '+' || this.#text[this.#at] === '-') this.#at++;
      digits('in exponent of numeric literal');
    }
  }

  #isDigit(): boolean {
    const code = this.#text.charCodeAt(this.#at);
    return code >= 0x30 && code <= 0x39;
  }

  #space(): void {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
      this.#at++;
    }
  }

  #enter(): void {
    if (this.#path.length > MAX_DEPTH) throw new JsonSyntaxError('exceeded max depth');
  }

  #where(): string {
    return this.#path.map((step, i) => (typeof step === 'number' ? `[${step}]` : i === 0 ? step : `.${step}`)).join('');
  }

  #unexpected(place: string): JsonSyntaxError {
    const character = this.#text.codePointAt(this.#at);
    if (character === undefined) return new JsonSyntaxError('unexpected end of JSON input');
    return new JsonSyntaxError(`invalid character ${quoted(String.fromCodePoint(character))} ${place}`);
  }
}

/** As Go's quoteChar. */
function quoted(character: string): string {
  if (character === "'") return `'\\''`;
  if (character === '"') return `'"'`;
  return `'${JSON.stringify(character).slice(1, -1)}'`;
}
