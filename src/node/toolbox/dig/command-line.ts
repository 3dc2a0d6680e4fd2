// dig's command line. Options before the first name hold for all lookups, later ones for the lookup before them.
import { parseIPv4 } from '../../../tcpip-ts/wire/address.ts';
import { reverseName } from '../dns/resolver.ts';

const TYPES = new Set([
  ...[
    'A',
    'AAAA',
    'ANY',
    'AXFR',
    'CAA',
    'CNAME',
    'DNAME',
    'DNSKEY',
    'DS',
    'HINFO',
    'HTTPS',
    'MX',
    'NAPTR',
    'NS',
    'PTR',
  ],
  ...['RRSIG', 'SOA', 'SRV', 'SSHFP', 'SVCB', 'TLSA', 'TXT'],
]);
const CLASSES = new Set(['IN', 'CH', 'HS', 'ANY']);
const SECTIONS = ['comments', 'question', 'answer', 'authority', 'additional', 'stats'] as const;
const DEFAULT_BUFFER = 1232;

export type Section = (typeof SECTIONS)[number];

export interface Lookup {
  /** As typed, or the name that -x makes of an address. */
  name: string;
  type: string;
  class: string;
  server: string | undefined;
  tcp: boolean;
  ignoreTruncation: boolean;
  search: boolean;
  domain: string | undefined;
  ndots: number | undefined;
  recurse: boolean;
  authenticData: boolean;
  checkingDisabled: boolean;
  dnssec: boolean;
  cookie: boolean;
  edns: boolean;
  bufferSize: number;
  timeoutS: number;
  tries: number;
  identify: boolean;
  ttl: boolean;
  showClass: boolean;
  shown: ReadonlySet<Section>;
}

export interface DigCommand {
  readonly lookups: readonly Lookup[];
  readonly port: number;
  readonly short: boolean;
  /** The heading that repeats the command line. */
  readonly cmd: boolean;
  readonly microseconds: boolean;
  /** For stderr. */
  readonly warnings: readonly string[];
}

/** Ends dig before it asks anything. */
export interface DigStop {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const USAGE = `Usage:  dig [@server] [-p port] [-x address] [-t type] [-c class] [-q name] [-4u] name [type] [class]
            [+[no]keyword[=value]]...
`;

type Switch =
  | 'tcp'
  | 'ignoreTruncation'
  | 'search'
  | 'recurse'
  | 'authenticData'
  | 'checkingDisabled'
  | 'dnssec'
  | 'cookie'
  | 'edns'
  | 'identify'
  | 'ttl'
  | 'showClass';

/** What a keyword switches; a keyword may be shortened as far as it stays the first match. */
const SWITCHES: Readonly<Record<string, Switch>> = {
  adflag: 'authenticData',
  cdflag: 'checkingDisabled',
  class: 'showClass',
  cookie: 'cookie',
  defname: 'search',
  dnssec: 'dnssec',
  do: 'dnssec',
  edns: 'edns',
  identify: 'identify',
  ignore: 'ignoreTruncation',
  rdflag: 'recurse',
  recurse: 'recurse',
  search: 'search',
  tcp: 'tcp',
  ttlid: 'ttl',
  vc: 'tcp',
};

type Quantity = 'bufferSize' | 'ndots' | 'timeoutS' | 'tries';

const QUANTITIES: Readonly<
  Record<string, { readonly field: Quantity; readonly what: string; readonly plus?: number }>
> = {
  bufsize: { field: 'bufferSize', what: 'buffer size' },
  ndots: { field: 'ndots', what: 'ndots' },
  retry: { field: 'tries', what: 'retries', plus: 1 },
  time: { field: 'timeoutS', what: 'timeout' },
  timeout: { field: 'timeoutS', what: 'timeout' },
  tries: { field: 'tries', what: 'tries' },
};

const WITH_VALUE = 'cpqtx';

class Parser {
  readonly lookups: Lookup[] = [];
  readonly warnings: string[] = [];
  port = 53;
  short = false;
  cmd = true;
  microseconds = false;
  readonly #defaults: Lookup = {
    name: '.',
    type: 'A',
    class: 'IN',
    server: undefined,
    tcp: false,
    ignoreTruncation: false,
    search: false,
    domain: undefined,
    ndots: undefined,
    recurse: true,
    authenticData: true,
    checkingDisabled: false,
    dnssec: false,
    cookie: true,
    edns: true,
    bufferSize: DEFAULT_BUFFER,
    timeoutS: 5,
    tries: 3,
    identify: false,
    ttl: true,
    showClass: true,
    shown: new Set(SECTIONS),
  };

  get #current(): Lookup {
    return this.lookups.at(-1) ?? this.#defaults;
  }

  /** Undefined, or why dig ends here. */
  parse(args: readonly string[]): DigStop | undefined {
    for (let i = 0; i < args.length; i++) {
      const arg = args[i]!;
      let stop: DigStop | undefined;
      if (arg.startsWith('@')) this.#current.server = arg.slice(1);
      else if (arg.startsWith('+')) stop = this.#keyword(arg);
      else if (arg.startsWith('-') && arg.length > 1) {
        const letter = arg[1]!;
        const takesNext = WITH_VALUE.includes(letter) && arg.length === 2;
        stop = this.#option(arg, letter, takesNext ? args[++i] : arg.slice(2));
      } else this.#word(arg);
      if (stop) return stop;
    }
    // Without a name: who serves the root.
    if (this.lookups.length === 0) this.lookups.push({ ...this.#defaults, type: 'NS' });
    return undefined;
  }

  #word(word: string): void {
    const upper = word.toUpperCase();
    if (TYPES.has(upper)) this.#current.type = upper;
    else if (CLASSES.has(upper)) this.#current.class = upper;
    else this.#begin(word);
  }

  #begin(name: string): void {
    this.lookups.push({ ...this.#defaults, name });
  }

  #option(arg: string, letter: string, value: string | undefined): DigStop | undefined {
    if (WITH_VALUE.includes(letter) && !value) return invalid(arg);
    switch (letter) {
      case '4':
      case 'r':
        return undefined;
      case 'u':
        this.microseconds = true;
        return undefined;
      case 'h':
        return { code: 0, stdout: USAGE, stderr: '' };
      case 'v':
        return { code: 0, stdout: '', stderr: `DiG ${VERSION}\n` };
      case 'p':
        this.port = Number(value);
        return /^\d+$/.test(value!) ? undefined : notANumber('port number', value!, 1);
      case 'q':
        this.#begin(value!);
        return undefined;
      case 't':
        if (TYPES.has(value!.toUpperCase())) this.#current.type = value!.toUpperCase();
        else this.warnings.push(`;; Warning, ignoring invalid type ${value}`);
        return undefined;
      case 'c':
        if (CLASSES.has(value!.toUpperCase())) this.#current.class = value!.toUpperCase();
        else this.warnings.push(`;; Warning, ignoring invalid class ${value}`);
        return undefined;
      case 'x': {
        const addr = parseIPv4(value!);
        this.#begin(
          `${addr === undefined ? `${value!.split('.').reverse().join('.')}.in-addr.arpa` : reverseName(addr)}.`,
        );
        this.#current.type = 'PTR';
        return undefined;
      }
      default:
        return invalid(arg);
    }
  }

  #keyword(arg: string): DigStop | undefined {
    const [key = '', value] = arg.slice(1).split(/=(.*)/s, 2);
    const on = !key.startsWith('no');
    const name = on ? key : key.slice(2);
    const { shown } = this.#current;
    const sections = matching(name, SECTIONS);
    if (name === 'all') {
      this.#current.shown = new Set(on ? SECTIONS : []);
      this.cmd = on;
    } else if (name === 'cmd') this.cmd = on;
    else if (name === 'short') this.short = on;
    else if (sections) this.#current.shown = new Set([...SECTIONS].filter((s) => (s === sections ? on : shown.has(s))));
    else if (name === 'domain' && value) {
      this.#current.domain = value;
      this.#current.search = true;
    } else return this.#quantity(arg, name, value) ?? this.#switch(arg, name, on);
    return undefined;
  }

  /** Undefined when it is none, or was taken. */
  #quantity(arg: string, name: string, value: string | undefined): DigStop | undefined {
    const quantity = QUANTITIES[name];
    if (!quantity) return undefined;
    if (value === undefined) return invalid(arg);
    if (!/^\d+$/.test(value)) return notANumber(quantity.what, value, 10);
    const { field, plus = 0 } = quantity;
    this.#current[field] = Math.max(field === 'timeoutS' || field === 'tries' ? 1 : 0, Number(value) + plus);
    return undefined;
  }

  #switch(arg: string, name: string, on: boolean): DigStop | undefined {
    if (name in QUANTITIES) return undefined;
    const key = matching(name, Object.keys(SWITCHES));
    if (!key) return invalid(arg);
    this.#current[SWITCHES[key]!] = on;
    if (SWITCHES[key] === 'dnssec' && on) this.#current.edns = true;
    return undefined;
  }
}

/** Shown where BIND shows its version. */
export const VERSION = '9.18.49 (podwire)';

export function parseDig(args: readonly string[]): DigCommand | DigStop {
  const parser = new Parser();
  return parser.parse(args) ?? parser;
}

function matching<T extends string>(name: string, words: readonly T[]): T | undefined {
  return words.find((word) => word === name) ?? words.find((word) => name.length > 1 && word.startsWith(name));
}

function invalid(option: string): DigStop {
  return { code: 1, stdout: '', stderr: `Invalid option: ${option}\n${USAGE}` };
}

function notANumber(what: string, value: string, code: number): DigStop {
  return {
    code,
    stdout: `invalid ${what} '${value}': not a valid number\n`,
    stderr: `dig: Couldn't parse ${what}\n`,
  };
}
