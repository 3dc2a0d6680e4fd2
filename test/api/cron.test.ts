import t from 'tap';
import { parseSchedule } from '../../src/api/cron.ts';

for (const [schedule, from, expected, zone] of [
  ['*/5 * * * *', '2026-01-01T00:00:00Z', '2026-01-01T00:05:00Z'],
  ['*/5 * * * *', '2026-01-01T00:04:59Z', '2026-01-01T00:05:00Z'],
  ['0 9 * * mon-fri', '2026-01-02T09:00:00Z', '2026-01-05T09:00:00Z'],
  ['30 4 1,15 * *', '2026-01-01T04:30:00Z', '2026-01-15T04:30:00Z'],
  // Either day fits when both are given.
  ['0 0 13 * 5', '2026-01-10T00:00:00Z', '2026-01-13T00:00:00Z'],
  ['0 0 13 * FRI', '2026-01-13T00:00:00Z', '2026-01-16T00:00:00Z'],
  ['0 0 29 2 *', '2026-01-01T00:00:00Z', '2028-02-29T00:00:00Z'],
  ['@hourly', '2026-01-01T00:00:00Z', '2026-01-01T01:00:00Z'],
  ['@monthly', '2026-01-31T12:00:00Z', '2026-02-01T00:00:00Z'],
  ['10-20/5 23 31 12 *', '2026-12-31T23:16:00Z', '2026-12-31T23:20:00Z'],
  ['0 9 * * *', '2026-01-01T00:00:00Z', '2026-01-01T08:00:00Z', 'Europe/Berlin'],
  ['0 9 * * *', '2026-07-01T00:00:00Z', '2026-07-01T07:00:00Z', 'Europe/Berlin'],
] as const) {
  t.test(`${schedule} after ${from}${zone ? ` in ${zone}` : ''}`, async (t) => {
    const next = parseSchedule(schedule, zone).next(Date.parse(from));
    t.equal(new Date(next!).toISOString(), expected.replace('Z', '.000Z'));
  });
}

for (const [schedule, message] of [
  ['* * * *', 'expected exactly 5 fields, found 4: [* * * *]'],
  ['60 * * * *', 'end of range (60) above maximum (59): 60'],
  ['* * 0 * *', 'beginning of range (0) below minimum (1): 0'],
  ['5-1 * * * *', 'beginning of range (5) beyond end of range (1): 5-1'],
  ['*/0 * * * *', 'step of range should be a positive number: */0'],
  ['x * * * *', 'failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax'],
  ['@never', 'unrecognized descriptor: @never'],
] as const) {
  t.test(`${schedule} is refused`, async (t) => {
    t.throws(() => parseSchedule(schedule), { message });
  });
}

t.test('a day that never comes', async (t) => {
  t.equal(parseSchedule('0 0 30 2 *').next(Date.UTC(2026, 0, 1)), undefined);
});
