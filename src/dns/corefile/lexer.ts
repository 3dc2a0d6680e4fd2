// Splits a Corefile into tokens, by the rules of Caddy v1 that CoreDNS kept (coredns/caddy caddyfile/lexer.go): tokens are parted
// by white space, `"` quotes (only `\"` is an escape inside), `#` starts a comment. Lines and columns count from 1.

export interface Token {
  readonly text: string;
  /** Name of the file, where it is not the Corefile itself. */
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** Never fails: a quote that is not closed ends with the text. */
export function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  let line = 1;
  let lineStart = 0;
  let value = '';
  let start: { line: number; column: number } | undefined;
  let comment = false;
  let quoted = false;
  let escaped = false;
  const finish = (): void => {
    if (start !== undefined) tokens.push({ text: value, file: '', ...start });
    start = undefined;
    value = '';
  };
  for (let i = 0; i < text.length; i++) {
    const ch = text[i]!;
    if (quoted) {
      if (!escaped && ch === '\\') {
        escaped = true;
        continue;
      }
      if (!escaped && ch === '"') {
        quoted = false;
        finish();
        continue;
      }
      value += escaped && ch !== '"' ? `\\${ch}` : ch;
      escaped = false;
      if (ch === '\n') {
        line++;
        lineStart = i + 1;
      }
      continue;
    }
    if (isSpace(ch)) {
      if (ch === '\r') continue;
      if (value !== '') finish();
      if (ch === '\n') {
        line++;
        lineStart = i + 1;
        comment = false;
      }
      continue;
    }
    if (ch === '#') comment = true;
    if (comment) continue;
    if (start === undefined) {
      start = { line, column: i - lineStart + 1 };
      if (ch === '"') {
        quoted = true;
        continue;
      }
    }
    value += ch;
  }
  if (value !== '') finish();
  return tokens;
}

function isSpace(ch: string): boolean {
  return (
    ch === ' ' ||
    ch === '\t' ||
    ch === '\n' ||
    ch === '\r' ||
    ch === '\v' ||
    ch === '\f' ||
    ch === '\u0085' ||
    ch === '\u00a0'
  );
}
