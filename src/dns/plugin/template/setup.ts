// Reads `template CLASS TYPE [ZONES...] { match REGEX...; answer RR; additional RR; authority RR; rcode CODE; fallthrough [ZONES...] }` and
// answers from it (CoreDNS plugin/template). Of Go's templates there is what records are made of: `{{ .Name }}`, `{{ .Type }}`,
// `{{ .Class }}`, `{{ .Zone }}`, `{{ .Group.NAME }}`, `{{ index .Match N }}`.
// Leaves out: functions and conditions in templates, ederror; `upstream` is taken and has no effect.
import { classText, RCODE, rcodeText, TYPE, typeNumber, typeText } from '../../constants.ts';
import { matchZone } from '../../name.ts';
import type { ResourceRecord } from '../../record.ts';
import { parseRecord } from '../../record-text.ts';
import { makeReply, nextOrFailure, type Request, ServeError } from '../../request.ts';
import type { Controller, Plugin } from '../plugin.ts';

const NAME = 'template';
const CLASS_ANY = 255;
const CLASSES: Record<string, number> = { IN: 1, CH: 3, HS: 4, ANY: CLASS_ANY };
const PLACE = /\{\{-?\s*(.*?)\s*-?\}\}/g;

interface Template {
  readonly class: number;
  readonly type: number;
  readonly zones: readonly string[];
  readonly patterns: RegExp[];
  readonly answer: string[];
  readonly additional: string[];
  readonly authority: string[];
  rcode: number;
  fallthrough: readonly string[] | undefined;
}

type Section = 'answer' | 'additional' | 'authority';

type Values = Readonly<Record<string, string>>;

export const templatePlugin: Plugin = {
  name: NAME,
  setup(c) {
    const templates: Template[] = [];
    while (c.next()) templates.push(parse(c));
    const { host, config } = c;
    const labels = ['server', 'zone', 'view', 'class', 'type'];
    const matches = host.metrics.counter(
      'coredns_template_matches_total',
      'Counter of template regex matches.',
      labels,
    );
    const failures = host.metrics.counter('coredns_template_rr_failures_total', 'Counter of mis-templated RRs.', [
      ...labels,
      'section',
      'template',
    ]);
    c.addHandler(NAME, (next) => (request, writer) => {
      for (const template of templates) {
        const zone = matchZone(template.zones, request.name);
        if (zone === undefined || !isAsked(template, request)) continue;
        const values = valuesOf(template, request, zone);
        if (values === undefined) {
          const through = template.fallthrough;
          if (through !== undefined && matchZone(through, request.name) !== undefined) continue;
          writer.write(makeReply(NAME, RCODE.NXDOMAIN, { recursionAvailable: true }));
          return RCODE.NOERROR;
        }
        const of = [config.serverLabel, zone, '', values['.Class']!, values['.Type']!];
        matches.with(...of).value++;
        if (template.rcode === RCODE.SERVFAIL) return RCODE.SERVFAIL;
        const make = (section: Section): ResourceRecord[] =>
          template[section].map((line) => recordFrom(line, values, () => failures.with(...of, section, line).value++));
        writer.write(
          makeReply(NAME, template.rcode, {
            recursionAvailable: true,
            answer: make('answer'),
            additional: make('additional'),
            authority: make('authority'),
          }),
        );
        return RCODE.NOERROR;
      }
      return nextOrFailure(NAME, next, request, writer);
    });
  },
};

function parse(c: Controller): Template {
  const [cls, type, ...zones] = c.remainingArgs();
  if (cls === undefined) throw c.argErr();
  const number = CLASSES[cls.toUpperCase()];
  if (number === undefined) throw c.err(`invalid query class ${cls}`);
  if (type === undefined) throw c.argErr();
  const wanted = typeNumber(type);
  if (wanted === undefined) throw c.err(`invalid RR class ${type}`);
  const template: Template = {
    ...{ class: number, type: wanted, zones: c.zonesFrom(zones), patterns: [], rcode: RCODE.NOERROR },
    ...{ answer: [], additional: [], authority: [], fallthrough: undefined },
  };
  while (c.nextBlock()) {
    const property = c.val();
    const args = c.remainingArgs();
    switch (property) {
      case 'match':
        if (args.length === 0) throw c.argErr();
        template.patterns.push(...args.map((text) => regexp(c, text)));
        break;
      case 'answer':
      case 'additional':
      case 'authority':
        if (args.length === 0) throw c.argErr();
        for (const line of args) checkPlaces(c, line);
        template[property].push(...args);
        break;
      case 'rcode':
        if (args.length !== 1) throw c.argErr();
        template.rcode = rcodeOf(c, args[0]!);
        break;
      case 'fallthrough':
        template.fallthrough = args.length === 0 ? ['.'] : c.zonesFrom(args);
        break;
      case 'upstream':
        break;
      default:
        throw c.argErr();
    }
  }
  if (template.patterns.length === 0) template.patterns.push(/.*/);
  const answers = template.answer.length + template.additional.length + template.authority.length;
  if (template.rcode === RCODE.NOERROR && answers === 0) throw c.err('no answer section for template found');
  return template;
}

/** Go's `(?P<name>...)` is `(?<name>...)` here. */
function regexp(c: Controller, text: string): RegExp {
  try {
    return new RegExp(text.replaceAll('(?P<', '(?<'));
  } catch (cause) {
    throw c.err(`could not parse regex: ${text}, ${(cause as Error).message}`);
  }
}

function rcodeOf(c: Controller, text: string): number {
  for (let code = 0; code <= 10; code++) if (rcodeText(code) === text.toUpperCase()) return code;
  throw c.err(`unknown rcode ${text}`);
}

function checkPlaces(c: Controller, line: string): void {
  for (const [place, inner] of line.matchAll(PLACE)) {
    if (!/^(\.(Name|Type|Class|Zone)|\.Group\.\w+|index \.Match \d+)$/.test(inner!))
      throw c.err(`could not compile template: ${place} is not supported by this server`);
  }
}

function isAsked({ class: cls, type }: Template, { question }: Request): boolean {
  if (cls !== CLASS_ANY && question.class !== CLASS_ANY && question.class !== cls) return false;
  return type === TYPE.ANY || question.type === TYPE.ANY || question.type === type;
}

/** What the places in the lines stand for; undefined: no pattern matches. */
function valuesOf(template: Template, request: Request, zone: string): Values | undefined {
  const { question, name } = request;
  for (const pattern of template.patterns) {
    const match = pattern.exec(name);
    if (match === null) continue;
    const values: Record<string, string> = {
      '.Name': name,
      '.Zone': zone,
      '.Type': typeText(question.type === TYPE.ANY ? template.type : question.type),
      '.Class': classText(question.class === CLASS_ANY ? template.class : question.class),
    };
    match.forEach((text, i) => {
      values[`index .Match ${i}`] = values[`.Group.${i}`] = text ?? '';
    });
    for (const [group, text] of Object.entries(match.groups ?? {})) values[`.Group.${group}`] = text ?? '';
    return values;
  }
  return undefined;
}

function recordFrom(line: string, values: Values, failed: () => void): ResourceRecord {
  try {
    return parseRecord(line.replace(PLACE, (_, inner: string) => values[inner] ?? ''));
  } catch (cause) {
    failed();
    throw new ServeError(RCODE.SERVFAIL, (cause as Error).message, { cause });
  }
}
