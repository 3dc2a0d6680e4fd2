// Reads a zone file (RFC 1035 5.1; miekg/dns scan.go): one record a line, parentheses over several, `;` comments, quoted strings,
// owners left out, $ORIGIN, $TTL (RFC 2308 4) and $INCLUDE. Knows files by name only.
// Leaves out $GENERATE and classes other than IN, as errors that say so. TTLs in seconds.
import { typeNumber } from '../../constants.ts';
import type { ResourceRecord } from '../../record.ts';
import { absoluteName, duration, recordOf } from '../../record-text.ts';

const MAX_INCLUDES = 7;
const DEFAULT_TTL = 3600;

/** Text of the file of this name; undefined when there is none. */
export type ReadFile = (path: string) => string | undefined;

interface Line {
  readonly words: readonly string[];
  /** Whether it starts with white space: the owner is that of the line before. */
  readonly indented: boolean;
  readonly line: number;
}

interface State {
  origin: string;
  ttl: number | undefined;
  owner: string | undefined;
}

/** The records in order. Throws an Error that begins with `file FILE:`, worded as miekg/dns does, at the first mistake. */
export function parseZoneFile(text: string, file: string, origin: string, readFile: ReadFile): ResourceRecord[] {
  return parse(text, file, { origin, ttl: undefined, owner: undefined }, readFile, 0);
}

function parse(text: string, file: string, state: State, readFile: ReadFile, depth: number): ResourceRecord[] {
  const records: ResourceRecord[] = [];
  for (const { words, indented, line } of linesOf(text, file)) {
    const wrong = (what: string): Error => new Error(`file ${file}: dns: ${what}: ${words.join(' ')} at line: ${line}`);
    const [first] = words as [string, ...string[]];
    if (!indented && first.startsWith('$')) {
      if (first.toUpperCase() !== '$INCLUDE') {
        directive(words, state, wrong);
        continue;
      }
      const path = words[1];
      if (path === undefined) throw wrong('expecting $INCLUDE value');
      if (depth >= MAX_INCLUDES) throw wrong('too deeply nested $INCLUDE');
      const included = readFile(path);
      if (included === undefined) throw wrong(`failed to open ${path}`);
      const inner = words[2] === undefined ? state.origin : absoluteName(words[2], state.origin);
      if (inner === undefined) throw wrong('bad origin name');
      records.push(...parse(included, path, { ...state, origin: inner }, readFile, depth + 1));
      continue;
    }
    records.push(recordOfLine(words, indented, state, wrong));
  }
  return records;
}

function directive(words: readonly string[], state: State, wrong: (what: string) => Error): void {
  const name = words[0]!.toUpperCase();
  const value = words[1];
  if (name === '$ORIGIN') {
    const origin = value === undefined ? undefined : absoluteName(value, state.origin);
    if (origin === undefined) throw wrong('bad origin name');
    state.origin = origin;
  } else if (name === '$TTL') {
    const ttl = value === undefined ? undefined : duration(value);
    if (ttl === undefined) throw wrong('expecting $TTL value, not this...');
    state.ttl = ttl;
  } else {
    throw wrong(`directive ${name} is not supported by this server`);
  }
}

function recordOfLine(
  words: readonly string[],
  indented: boolean,
  state: State,
  wrong: (what: string) => Error,
): ResourceRecord {
  const rest = [...words];
  const owner = indented ? state.owner : absoluteName(rest.shift()!, state.origin);
  if (owner === undefined) throw wrong('bad owner name');
  state.owner = owner;
  let ttl: number | undefined;
  let type: number | undefined;
  // TTL and class stand in either order before the type.
  while (type === undefined) {
    const word = rest.shift();
    if (word === undefined) throw wrong('no type or data');
    const upper = word.toUpperCase();
    if (upper === 'CH' || upper === 'HS') throw wrong(`class ${upper} is not supported by this server`);
    type = typeNumber(word);
    if (type !== undefined || upper === 'IN') continue;
    if (ttl !== undefined || duration(word) === undefined) throw wrong('unknown RR type');
    ttl = duration(word);
  }
  // A record without a TTL has that of $TTL, else of the record before (RFC 1035), else an hour (miekg/dns).
  const record = recordOf(owner.toLowerCase(), ttl ?? state.ttl ?? DEFAULT_TTL, type, rest, state.origin);
  if (record === undefined) throw wrong('bad data');
  state.ttl ??= ttl;
  return record;
}

/** Cuts the text into words, line by line; what parentheses enclose is one line. */
function linesOf(text: string, file: string): Line[] {
  const lines: Line[] = [];
  let words: string[] = [];
  let indented = false;
  let start = 1;
  let depth = 0;
  const finish = (): void => {
    if (words.length > 0) lines.push({ words, indented, line: start });
    words = [];
  };
  text.split('\n').forEach((raw, i) => {
    if (depth === 0) {
      start = i + 1;
      indented = /^\s/.test(raw);
    }
    for (const [token] of raw.matchAll(/;.*|"(?:[^"\\]|\\.)*"?|[()]|(?:\\.|[^\s"();\\])+/g)) {
      if (token.startsWith(';')) break;
      if (token.startsWith('"') && !/[^\\](\\\\)*"$/.test(token) && token !== '""')
        throw new Error(`file ${file}: dns: quoted string is not closed at line: ${i + 1}`);
      if (token === '(') depth++;
      else if (token === ')') depth--;
      else words.push(token);
      if (depth < 0) throw new Error(`file ${file}: dns: extra closing brace at line: ${i + 1}`);
    }
    if (depth === 0) finish();
  });
  if (depth > 0) throw new Error(`file ${file}: dns: unbalanced brace at line: ${start}`);
  return lines;
}
