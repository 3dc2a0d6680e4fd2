// podwire trace: explains what the Node would do to a packet. Of a running cluster, or with -f of a Node that manifests describe;
// one question, or with --flows many, whose answers may be compared with what is expected; in one proxy mode or all.
import { createInterface } from 'node:readline';
import {
  type AnswersByMode,
  compareModes,
  endpointTexts,
  type ModeDifference,
} from '../../cluster/offline/compare-modes.ts';
import { differences, type FlowQuestion, parseFlows } from '../../cluster/offline/flows.ts';
import type { OfflineObjects } from '../../cluster/offline/objects.ts';
import { OfflineNode } from '../../cluster/offline/offline-node.ts';
import { offlineQuestion } from '../../cluster/offline/question.ts';
import type { AskedTrace } from '../../cluster/trace-question.ts';
import type { LiveHop } from '../../kernel/core/live-trace.ts';
import { formatTrace } from '../../kernel/what-if/text.ts';
import type { TraceAnswer } from '../../kernel/what-if/types.ts';
import { PROXY_MODES, type ProxyMode } from '../../proxy/config.ts';
import { asCliError, CliError } from '../cli-error.ts';
import { ask, open } from '../control-client.ts';
import { offlineObjects } from '../offline-objects.ts';
import { table } from '../table.ts';
import { readText } from '../watched-files.ts';

export interface TraceOptions {
  readonly filename: readonly string[];
  readonly proxyMode?: ProxyMode | 'all';
  readonly pod?: string;
  readonly from?: string;
  readonly to?: string;
  readonly protocol: AskedTrace['protocol'];
  readonly flows?: string;
  readonly live?: boolean;
  readonly output: 'text' | 'json';
}

/** In all modes: each one's answer, and where they differ. */
type AllAnswers = AnswersByMode & { readonly differences: readonly ModeDifference[] };
type Answer = TraceAnswer | AllAnswers;
/** A question that cannot be answered, in its place in the list. */
interface Unanswered {
  readonly error: string;
}

const USAGE = { exitCode: 2 };

export async function trace(options: TraceOptions): Promise<void> {
  if (options.live) return live(options);
  const flows = options.flows === undefined ? undefined : readFlows(options, options.flows);
  const single = flows === undefined ? singleQuestion(options) : undefined;
  const answerer = options.filename.length > 0 ? offline(options) : online(options);
  try {
    if (flows) await answerFlows(flows, answerer, options.output);
    else print(await answerer.answer(single!), options.output);
  } finally {
    answerer.close();
  }
}

function readFlows({ pod, from, to }: TraceOptions, file: string): FlowQuestion[] {
  if (pod || from || to) throw new CliError('--flows has its own questions: not with --pod, --from or --to', USAGE);
  const text = readText(file);
  const flows = asCliError(() => parseFlows(text, file));
  for (const { name, unknown } of flows)
    for (const field of unknown)
      process.stderr.write(`podwire: warning: ${file}: ${name}: ${field} is not known, and not compared\n`);
  return flows;
}

/** Until Ctrl-C, or until the cluster or the reader of our output ends. */
async function live(options: TraceOptions): Promise<void> {
  if (options.filename.length > 0 || options.flows || options.proxyMode)
    throw new CliError('--live follows packets of a running cluster: not with -f, --flows or --proxy-mode', USAGE);
  const response = await open(`/follow?${new URLSearchParams({ q: JSON.stringify(singleQuestion(options)) })}`);
  const lines = createInterface({ input: response, crlfDelay: Number.POSITIVE_INFINITY });
  // An interface that is closed ends its iteration; a stream that is destroyed would fail it.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => lines.close());
  response.on('error', () => lines.close());
  process.stdout.on('error', () => lines.close());
  if (process.stderr.isTTY)
    process.stderr.write(`waiting for packets of ${options.pod ?? options.from} to ${options.to}; Ctrl-C ends it\n`);
  let packet = 0;
  for await (const line of lines) {
    if (options.output === 'json') {
      process.stdout.write(`${line}\n`);
      continue;
    }
    const hop = JSON.parse(line) as LiveHop & { readonly node: string; readonly time: number };
    if (hop.packet !== packet)
      process.stdout.write(`\n${hop.node}: packet ${hop.packet} at ${hop.time.toFixed(6)}: ${hop.before}\n`);
    packet = hop.packet;
    process.stdout.write(liveText(hop));
  }
  response.destroy();
}

function liveText({ stage, rule, action, before, after }: LiveHop): string {
  const what = rule ? `${rule}\n    ${action}` : action === stage ? '' : action;
  return ` ${stage}${what ? `: ${what}` : ''}\n${before === after ? '' : `     -> ${after}\n`}`;
}

function singleQuestion({ pod, from, to, protocol }: TraceOptions): AskedTrace {
  if (!to) throw new CliError('expected --to HOST:PORT, or --flows FILE', USAGE);
  if (!pod === !from) throw new CliError('expected either --pod NAMESPACE/NAME or --from ADDRESS[:PORT]', USAGE);
  return { ...(pod ? { pod } : { from: from! }), to, protocol };
}

interface Answerer {
  /** The one proxy mode that answers; absent: all of them, or a running cluster's. */
  readonly mode?: ProxyMode;
  /** Rejects with CliError: a question that makes no sense. */
  answer(asked: AskedTrace): Promise<Answer>;
  close(): void;
}

function online({ proxyMode }: TraceOptions): Answerer {
  if (proxyMode) throw new CliError('--proxy-mode needs the objects as files: give them with -f', USAGE);
  return {
    answer: async (asked) => (await ask(`/trace?${new URLSearchParams({ q: JSON.stringify(asked) })}`)) as TraceAnswer,
    close: () => {},
  };
}

function offline({ filename, proxyMode }: TraceOptions): Answerer {
  const objects = offlineObjects(filename);
  const modes = proxyMode === 'all' ? PROXY_MODES : [proxyMode];
  const nodes = modes.map((mode) => asCliError(() => new OfflineNode(objects, mode)));
  return {
    ...(nodes.length === 1 ? { mode: nodes[0]!.config.mode } : {}),
    answer: async (asked) => asCliError(() => answerOffline(objects, nodes, asked)),
    close: () => {
      for (const node of nodes) node.close();
    },
  };
}

function answerOffline(objects: OfflineObjects, nodes: readonly OfflineNode[], asked: AskedTrace): Answer {
  const question = offlineQuestion(objects, asked);
  if (nodes.length === 1) return nodes[0]!.explain(question);
  const byMode = Object.fromEntries(nodes.map((node) => [node.config.mode, node.explain(question)]));
  const answers = byMode as Record<ProxyMode, TraceAnswer>;
  return { ...answers, differences: compareModes(answers) };
}

async function answerFlows(flows: readonly FlowQuestion[], answerer: Answerer, output: 'text' | 'json'): Promise<void> {
  const answers: (Answer | Unanswered)[] = [];
  const wrong: string[] = [];
  for (const { name, asked, error, expect, expectByMode } of flows) {
    let found: string[];
    try {
      if (!asked) throw new CliError(error!);
      const answer = await answerer.answer(asked);
      answers.push(answer);
      found = answersIn(answer).flatMap(([mode, a]) => {
        const by = mode ?? answerer.mode;
        const expected = (by && expectByMode?.[by]) ?? expect;
        return expected ? differences(expected, a).map((d) => `${prefix(mode)}${d}`) : [];
      });
    } catch (caught) {
      if (!(caught instanceof CliError)) throw caught;
      answers.push({ error: caught.message });
      found = [caught.message];
    }
    wrong.push(...found.map((difference) => `${name}: ${difference}`));
    if (output === 'text') process.stdout.write(flowLine(name, answers.at(-1)!, found.length > 0));
  }
  if (output === 'json') process.stdout.write(`${JSON.stringify(answers, null, 2)}\n`);
  if (wrong.length === 0) return;
  process.stderr.write(`${wrong.join('\n')}\n`);
  process.exitCode = 1;
}

/** Each mode's answer; the one that there is without its mode. */
function answersIn(answer: Answer): (readonly [mode: ProxyMode | null, answer: TraceAnswer])[] {
  return isAll(answer) ? PROXY_MODES.map((mode) => [mode, answer[mode]] as const) : [[null, answer]];
}

function prefix(mode: ProxyMode | null): string {
  return mode === null ? '' : `${mode}: `;
}

function isAll(answer: Answer | Unanswered): answer is AllAnswers {
  return 'differences' in answer;
}

function flowLine(name: string, answer: Answer | Unanswered, isWrong: boolean): string {
  const mark = isWrong ? 'DIFFERS' : 'ok';
  if ('error' in answer) return `${mark} ${name}: ${answer.error}\n`;
  const said = answersIn(answer).map(([mode, a]) => {
    const to = a.endpoints.length > 0 ? ` to ${endpointTexts(a).join(', ')}` : '';
    return `${prefix(mode)}${a.verdict}${to}${a.masquerade ? ', masqueraded' : ''}`;
  });
  return `${mark} ${name}: ${said.join('; ')}\n`;
}

function print(answer: Answer, output: 'text' | 'json'): void {
  if (output === 'json') process.stdout.write(`${JSON.stringify(answer, null, 2)}\n`);
  else process.stdout.write(isAll(answer) ? sideBySide(answer) : formatTrace(answer));
}

function sideBySide(answer: AllAnswers): string {
  const differing = new Set(answer.differences.map((d) => d.field));
  /** As many lines as the longest list has; the field is named in the first. */
  const rowsOf = (field: ModeDifference['field'], list: (a: TraceAnswer) => readonly string[]): string[][] => {
    const lists = PROXY_MODES.map((mode) => list(answer[mode]));
    return Array.from({ length: Math.max(1, ...lists.map((l) => l.length)) }, (_, i) => [
      i === 0 ? `${differing.has(field) ? '*' : ' '} ${field}` : '',
      ...lists.map((l) => l[i] ?? (i === 0 ? '-' : '')),
    ]);
  };
  const rows = [
    ...rowsOf('verdict', (a) => [a.verdict]),
    ...rowsOf('endpoints', endpointTexts),
    ...rowsOf('masquerade', (a) => [String(a.masquerade)]),
  ];
  const lines = [`Flow: ${answer.ipvs.hops[0]?.before ?? ''}`, '', table(['', ...PROXY_MODES], rows).trimEnd(), ''];
  for (const mode of PROXY_MODES) lines.push(`${mode}: ${answer[mode].reason}`);
  const known = new Set(answer.differences.flatMap((d) => d.known ?? []));
  if (known.size > 0) lines.push('', ...[...known].map((why) => `* known upstream: ${why}.`));
  else if (differing.size > 0) lines.push('', '* not a known difference of the real ones.');
  return `${lines.join('\n')}\n`;
}
