// Groups the tokens of a Corefile by server block and directive (coredns/caddy caddyfile/parse.go): addresses, braces, snippets
// `(name) { }` with `import name`, environment variables `{$NAME}` and `{%NAME%}`. What the directives mean is for the plugins.
// Leaves out: `import` of files and globs; it is an error that says so.
import { Dispenser } from './dispenser.ts';
import { type Token, tokenize } from './lexer.ts';

export interface ServerBlock {
  /** The addresses as written: `.:53`, `cluster.local`, `10.0.0.0/24`. */
  readonly keys: readonly string[];
  /** The tokens of each directive, its name first; one that is repeated follows itself. */
  readonly directives: ReadonlyMap<string, readonly Token[]>;
}

export type Environment = Readonly<Record<string, string | undefined>>;

const MAX_IMPORTS = 1000;

/** Throws CorefileError. Directives outside `known` are errors; with undefined all are taken. */
export function parseCorefile(
  filename: string,
  text: string,
  known: readonly string[] | undefined,
  env: Environment = {},
): ServerBlock[] {
  return new Parser(filename, tokenize(text), known, env).parse();
}

class Parser extends Dispenser {
  readonly #known: readonly string[] | undefined;
  readonly #env: Environment;
  readonly #snippets = new Map<string, Token[]>();
  #imports = 0;
  #keys: string[] = [];
  #directives = new Map<string, Token[]>();
  #eof = false;

  constructor(filename: string, tokens: readonly Token[], known: readonly string[] | undefined, env: Environment) {
    super(filename, tokens);
    this.#known = known;
    this.#env = env;
  }

  parse(): ServerBlock[] {
    const blocks: ServerBlock[] = [];
    while (this.next()) {
      this.#keys = [];
      this.#directives = new Map();
      this.#addresses();
      const snippet = this.#snippetName();
      if (this.#eof) {
        // A line of addresses and nothing after it.
      } else if (snippet !== undefined) {
        this.#defineSnippet(snippet);
        continue;
      } else {
        this.#contents();
      }
      if (this.#keys.length > 0) blocks.push({ keys: this.#keys, directives: this.#directives });
    }
    return blocks;
  }

  #addresses(): void {
    let expectingAnother = false;
    for (;;) {
      let text = this.#expand(this.val());
      if (text === 'import' && this.isNewLine()) {
        this.#import();
        this.next();
        continue;
      }
      if (text === '{') {
        if (expectingAnother) throw this.err(`Expected another address but had '${text}' - check for extra comma`);
        return;
      }
      if (text !== '') {
        expectingAnother = text.endsWith(',');
        if (expectingAnother) text = text.slice(0, -1);
        this.#keys.push(text);
      }
      const more = this.next();
      if (expectingAnother && !more) throw this.eofErr();
      if (!more) {
        this.#eof = true;
        return;
      }
      if (!expectingAnother && this.isNewLine()) return;
    }
  }

  #contents(): void {
    const braced = this.val() === '{';
    if (!braced) this.cursor--;
    while (this.next()) {
      if (this.val() === '}') break;
      if (this.val() === 'import') {
        this.#import();
        continue;
      }
      this.#directive();
    }
    if (braced && this.val() !== '}') throw this.syntaxErr('}');
  }

  #directive(): void {
    const name = this.#expand(this.val());
    if (this.#known !== undefined && !this.#known.includes(name)) throw this.err(`Unknown directive '${name}'`);
    let tokens = this.#directives.get(name);
    if (tokens === undefined) this.#directives.set(name, (tokens = []));
    tokens.push(this.tokens[this.cursor]!);
    let nesting = 0;
    while (this.next()) {
      if (this.val() === '{') {
        nesting++;
      } else if (this.isNewLine() && nesting === 0) {
        this.cursor--;
        break;
      } else if (this.val() === '}' && nesting > 0) {
        nesting--;
      } else if (this.val() === '}') {
        throw this.err("Unexpected '}' because no matching opening brace");
      } else if (this.val() === 'import' && this.isNewLine()) {
        this.#import();
        continue;
      }
      const token = this.tokens[this.cursor]!;
      tokens.push({ ...token, text: this.#expand(token.text) });
    }
    if (nesting > 0) throw this.eofErr();
  }

  /** Puts the snippet's tokens in place of `import NAME` and steps back to before them. */
  #import(): void {
    if (!this.nextArg()) throw this.argErr();
    const name = this.#expand(this.val());
    if (name === '') throw this.err('Import requires a non-empty filepath');
    if (this.nextArg()) throw this.err('Import takes only one argument (glob pattern or file)');
    const snippet = this.#snippets.get(name);
    if (snippet === undefined) throw this.err(`File to import not found: ${name} (only snippets can be imported here)`);
    if (++this.#imports > MAX_IMPORTS) throw this.err(`maximum snippet import depth (${MAX_IMPORTS}) exceeded`);
    this.tokens.splice(this.cursor - 1, 2, ...snippet);
    this.cursor -= 2;
  }

  #snippetName(): string | undefined {
    const key = this.#keys[0];
    if (this.#keys.length !== 1 || !key!.startsWith('(') || !key!.endsWith(')')) return undefined;
    return key!.slice(1, -1);
  }

  #defineSnippet(name: string): void {
    if (this.#snippets.has(name)) throw this.err(`redeclaration of previously declared snippet ${name}`);
    if (this.val() !== '{') throw this.syntaxErr('{');
    const tokens: Token[] = [];
    let depth = 1;
    while (this.next()) {
      if (this.val() === '}' && --depth === 0) break;
      if (this.val() === '{') depth++;
      tokens.push(this.tokens[this.cursor]!);
    }
    if (depth !== 0) throw this.syntaxErr('}');
    this.#snippets.set(name, tokens);
  }

  #expand(text: string): string {
    if (!text.includes('{')) return text;
    return text
      .replace(/\{%([^%}]+)%\}/g, (_, name: string) => this.#env[name] ?? '')
      .replace(/\{\$([^}]+)\}/g, (_, name: string) => this.#env[name] ?? '');
  }
}

/**
 * The text CoreDNS hashes as "running configuration": its parsed form as Go's encoding/json prints it. So the same Corefile
 * shows the same hash here and there.
 */
export function configurationText(blocks: readonly ServerBlock[]): string {
  const go = blocks.map((block) => {
    const names = [...block.directives.keys()].sort();
    const tokens = names.map((name) => {
      const list = block.directives.get(name)!.map((t) => ({ File: t.file, Line: t.line, Text: t.text }));
      return [name, list] as const;
    });
    return { Keys: block.keys, Tokens: Object.fromEntries(tokens) };
  });
  const escapes: Record<string, string> = { '<': '\\u003c', '>': '\\u003e', '&': '\\u0026' };
  return JSON.stringify(go).replace(/[<>&]/g, (c) => escapes[c]!);
}
