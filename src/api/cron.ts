// Cron schedules: five fields, names of months and days, steps, lists, and `@hourly` and its like. After ParseStandard of
// github.com/robfig/cron/v3, whose words the errors are; by its rule a day fits when day-of-month or day-of-week does, unless
// one of them is `*`. Times are minutes; a time zone is one of the tz database.

export interface Schedule {
  /** The first time after `afterMs` (both Unix milliseconds), or undefined when there is none in five years. */
  next(afterMs: number): number | undefined;
}

interface Field {
  readonly name: string;
  readonly min: number;
  readonly max: number;
  readonly names?: readonly string[];
}

const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
const FIELDS: readonly Field[] = [
  { name: 'minute', min: 0, max: 59 },
  { name: 'hour', min: 0, max: 23 },
  { name: 'dom', min: 1, max: 31 },
  { name: 'month', min: 1, max: 12, names: MONTHS },
  { name: 'dow', min: 0, max: 6, names: DAYS },
];
const DESCRIPTORS: Readonly<Record<string, string>> = {
  '@yearly': '0 0 1 1 *',
  '@annually': '0 0 1 1 *',
  '@monthly': '0 0 1 * *',
  '@weekly': '0 0 * * 0',
  '@daily': '0 0 * * *',
  '@midnight': '0 0 * * *',
  '@hourly': '0 * * * *',
};
const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
const HORIZON_DAYS = 5 * 366;

/** Throws with what is wrong. `timeZone` undefined: UTC. */
export function parseSchedule(text: string, timeZone?: string): Schedule {
  const expanded = text.startsWith('@') ? DESCRIPTORS[text] : text;
  if (expanded === undefined) throw new Error(`unrecognized descriptor: ${text}`);
  const parts = expanded.split(/\s+/).filter((part) => part !== '');
  if (parts.length !== FIELDS.length) {
    throw new Error(`expected exactly 5 fields, found ${parts.length}: [${parts.join(' ')}]`);
  }
  const [minutes, hours, doms, months, dows] = parts.map((part, i) => parseField(part, FIELDS[i]!)) as Set<number>[];
  const anyDay = /^[*?]/.test(parts[2]!) || /^[*?]/.test(parts[4]!);
  const dayFits = (date: Date): boolean => {
    if (!months!.has(date.getUTCMonth() + 1)) return false;
    const dom = doms!.has(date.getUTCDate());
    const dow = dows!.has(date.getUTCDay());
    return anyDay ? dom && dow : dom || dow;
  };
  const offset = timeZone === undefined ? () => 0 : zoneOffset(timeZone);
  return {
    next(afterMs) {
      // On the wall clock of the zone, written as if it were UTC.
      const from = (Math.floor((afterMs + offset(afterMs)) / MINUTE_MS) + 1) * MINUTE_MS;
      for (let day = Math.floor(from / DAY_MS), last = day + HORIZON_DAYS; day <= last; day++) {
        if (!dayFits(new Date(day * DAY_MS))) continue;
        for (let hour = 0; hour < 24; hour++) {
          if (!hours!.has(hour)) continue;
          for (let minute = 0; minute < 60; minute++) {
            const wall = day * DAY_MS + (hour * 60 + minute) * MINUTE_MS;
            if (wall < from || !minutes!.has(minute)) continue;
            const time = wall - offset(wall - offset(wall));
            if (time > afterMs) return time;
          }
        }
      }
      return undefined;
    },
  };
}

/** Throws for a name that is none. */
export function checkTimeZone(timeZone: string): void {
  new Intl.DateTimeFormat('en', { timeZone });
}

function parseField(text: string, field: Field): Set<number> {
  const values = new Set<number>();
  for (const part of text.split(',')) {
    const [range = '', step, extra] = part.split('/');
    if (extra !== undefined) throw new Error(`too many slashes: ${part}`);
    let low: number;
    let high: number;
    if (range === '*' || range === '?') [low, high] = [field.min, field.max];
    else {
      const [from = '', to, more] = range.split('-');
      if (more !== undefined) throw new Error(`too many hyphens: ${part}`);
      low = parseNumber(from, field, part);
      // `3/5`: from 3 to the end.
      high = to !== undefined ? parseNumber(to, field, part) : step !== undefined ? field.max : low;
    }
    const by = step === undefined ? 1 : parseNumber(step, { name: field.name, min: 0, max: 0 }, part);
    if (low < field.min) throw new Error(`beginning of range (${low}) below minimum (${field.min}): ${part}`);
    if (high > field.max) throw new Error(`end of range (${high}) above maximum (${field.max}): ${part}`);
    if (low > high) throw new Error(`beginning of range (${low}) beyond end of range (${high}): ${part}`);
    if (by === 0) throw new Error(`step of range should be a positive number: ${part}`);
    for (let value = low; value <= high; value += by) values.add(value);
  }
  return values;
}

function parseNumber(text: string, { names, min }: Field, part: string): number {
  const named = names?.indexOf(text.toLowerCase()) ?? -1;
  if (named >= 0) return named + min;
  if (/^\d{1,9}$/.test(text)) return Number(text);
  if (/^-?\d/.test(text)) throw new Error(`negative number (${text}) not allowed: ${part}`);
  throw new Error(`failed to parse int from ${part}: strconv.Atoi: parsing "${text}": invalid syntax`);
}

/** Milliseconds to add to UTC for the wall clock of the zone at a time. */
function zoneOffset(timeZone: string): (atMs: number) => number {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
  return (atMs) => {
    const parts = new Map(format.formatToParts(atMs).map(({ type, value }) => [type, Number(value)]));
    const at = (type: string) => parts.get(type as Intl.DateTimeFormatPartTypes)!;
    const wall = Date.UTC(at('year'), at('month') - 1, at('day'), at('hour'), at('minute'), at('second'));
    return wall - Math.floor(atMs / 1000) * 1000;
  };
}
