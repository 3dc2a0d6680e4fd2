// curl's command line, the part of it that HTTP needs.
import type { PodFiles } from '../../workloads/program.ts';
import { parseArguments } from '../arguments.ts';
import { absolutePath } from '../paths.ts';
import type { TlsOptions } from './tls.ts';

const FLAGS = 'sSOiIvLfkN4gG#V';
const VALUES = 'owXdHmAeuDrE';
const WORDS = {
  ...{ 'fail-with-body': false, http1: false, compressed: false, progress: false, json: true, resolve: true },
  ...{ 'connect-timeout': true, 'data-urlencode': true, 'max-redirs': true, 'data-raw': true },
  ...{ cacert: true, key: true },
};
const SPEC: Readonly<Record<string, boolean>> = {
  ...Object.fromEntries([...FLAGS].map((letter) => [letter, false])),
  ...Object.fromEntries([...VALUES].map((letter) => [letter, true])),
  ...WORDS,
};
const ALIASES: Readonly<Record<string, string>> = {
  ...{ silent: 's', 'show-error': 'S', 'remote-name': 'O', include: 'i', head: 'I', verbose: 'v', location: 'L' },
  ...{ fail: 'f', insecure: 'k', 'no-buffer': 'N', ipv4: '4', globoff: 'g', get: 'G', 'progress-bar': '#' },
  ...{ output: 'o', 'write-out': 'w', request: 'X', data: 'd', 'data-ascii': 'd', 'data-binary': 'd', header: 'H' },
  ...{
    'max-time': 'm',
    'user-agent': 'A',
    referer: 'e',
    user: 'u',
    'dump-header': 'D',
    range: 'r',
    version: 'V',
    cert: 'E',
  },
  ...{ 'http1.1': 'http1', 'no-progress-meter': 'progress' },
};
const TRY_HELP = "curl: try 'curl --help' or 'curl --manual' for more information\n";

export const VERSION = '7.88.1';

export interface CurlOptions {
  readonly silent: boolean;
  readonly showError: boolean;
  readonly include: boolean;
  readonly head: boolean;
  readonly verbose: boolean;
  readonly follow: boolean;
  readonly fail: boolean;
  readonly failWithBody: boolean;
  readonly get: boolean;
  readonly remoteName: boolean;
  readonly outputs: readonly string[];
  readonly writeOut: string | undefined;
  readonly dumpHeader: string | undefined;
  readonly method: string | undefined;
  readonly body: Buffer | undefined;
  readonly headers: readonly string[];
  readonly userAgent: string;
  readonly referer: string | undefined;
  readonly user: string | undefined;
  readonly range: string | undefined;
  readonly maxTimeMs: number;
  readonly connectTimeoutMs: number;
  readonly maxRedirects: number;
  /** Addresses of HOST:PORT that need no lookup. */
  readonly resolved: ReadonlyMap<string, string>;
  readonly tls: TlsOptions;
}

export interface CurlStop {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What to fetch and how; or what to print and exit with instead, as after `curl -V` or a wrong option. */
export function parseCurl(
  args: readonly string[],
  files: PodFiles,
  cwd: string,
): { urls: readonly string[]; options: CurlOptions } | CurlStop {
  const { options, operands, problem } = parseArguments(args, SPEC, ALIASES);
  const stop = (message: string): CurlStop => ({ code: 2, stdout: '', stderr: `${message}${TRY_HELP}` });
  if (problem) {
    const { kind, written, option } = problem;
    return stop(`curl: option ${kind === 'unknown' ? `${written}: is unknown` : `${option}: requires parameter`}\n`);
  }
  if (options.has('V')) {
    const stdout = `curl ${VERSION} (podwire) libcurl/${VERSION}\nProtocols: http https\nFeatures: SSL\n`;
    return { code: 0, stdout, stderr: '' };
  }
  if (operands.length === 0) return stop('');
  const last = (name: string): string | undefined => options.get(name)?.at(-1);
  let malformed: string | undefined;
  const number = (name: string, option: string, otherwise: number): number => {
    const text = last(name);
    if (text !== undefined && !/^\d*\.?\d+$/.test(text)) malformed ??= option;
    return Number(text ?? otherwise);
  };
  const json = options.get('json');
  const result: CurlOptions = {
    silent: options.has('s'),
    showError: options.has('S'),
    include: options.has('i'),
    head: options.has('I'),
    verbose: options.has('v'),
    follow: options.has('L'),
    fail: options.has('f'),
    failWithBody: options.has('fail-with-body'),
    get: options.has('G'),
    remoteName: options.has('O'),
    outputs: options.get('o') ?? [],
    writeOut: last('w'),
    dumpHeader: last('D'),
    method: last('X'),
    body: requestBody(options, files, cwd),
    headers: [
      ...(json ? ['Content-Type: application/json', 'Accept: application/json'] : []),
      ...(options.get('H') ?? []),
    ],
    userAgent: last('A') ?? `curl/${VERSION}`,
    referer: last('e'),
    user: last('u'),
    range: last('r'),
    maxTimeMs: (number('m', '-m', 0) || Number.POSITIVE_INFINITY) * 1000,
    connectTimeoutMs: (number('connect-timeout', '--connect-timeout', 0) || 300) * 1000,
    maxRedirects: number('max-redirs', '--max-redirs', 50),
    resolved: new Map(
      (options.get('resolve') ?? []).map((entry) => {
        const [host = '', port = '', address = ''] = entry.split(':');
        return [`${host}:${port}`, address];
      }),
    ),
    tls: {
      insecure: options.has('k'),
      authority: last('cacert'),
      certificate: last('E'),
      key: last('key'),
    },
  };
  if (malformed) return stop(`curl: option ${malformed}: expected a proper numerical parameter\n`);
  return { urls: operands, options: result };
}

/** -d, --data-raw, --data-urlencode and --json, joined with `&` (JSON as it is). */
function requestBody(
  options: ReadonlyMap<string, readonly string[]>,
  files: PodFiles,
  cwd: string,
): Buffer | undefined {
  const json = options.get('json');
  if (json) return Buffer.from(json.join(''));
  const parts = [
    ...(options.get('d') ?? []).map((text) => (text.startsWith('@') ? fileText(text.slice(1), files, cwd) : text)),
    ...(options.get('data-raw') ?? []),
    ...(options.get('data-urlencode') ?? []).map((text) => {
      const [name, value] = text.split(/=(.*)/s, 2);
      return value === undefined ? encodeURIComponent(text) : `${name ? `${name}=` : ''}${encodeURIComponent(value)}`;
    }),
  ];
  return options.has('d') || options.has('data-raw') || options.has('data-urlencode')
    ? Buffer.from(parts.join('&'))
    : undefined;
}

/** A file without its line ends, as -d reads it; nothing when it is missing, as curl sends. */
function fileText(path: string, files: PodFiles, cwd: string): string {
  return (files.read(absolutePath(cwd, path)) ?? '').replace(/[\r\n]/g, '');
}
