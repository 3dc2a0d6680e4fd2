// Ages as kubectl shows them: k8s.io/apimachinery/pkg/util/duration, HumanDuration: two units while small, one later.

const MINUTE = 60;
const HOUR = 3600;
const DAY = 86_400;
const YEAR = 365 * DAY;

/** `3m10s`, `2d1h`; `<invalid>` for two seconds and more into the future. */
export function humanDuration(ms: number): string {
  if (ms <= -2000) return '<invalid>';
  const s = Math.floor(ms / 1000);
  if (s < 0) return '0s';
  if (s < 2 * MINUTE) return `${s}s`;
  if (s < 10 * MINUTE) return two(s, MINUTE, 'm', 1, 's');
  if (s < 3 * HOUR) return `${Math.floor(s / MINUTE)}m`;
  if (s < 8 * HOUR) return two(s, HOUR, 'h', MINUTE, 'm');
  if (s < 2 * DAY) return `${Math.floor(s / HOUR)}h`;
  if (s < 8 * DAY) return two(s, DAY, 'd', HOUR, 'h');
  if (s < 2 * YEAR) return `${Math.floor(s / DAY)}d`;
  if (s < 8 * YEAR) return two(s, YEAR, 'y', DAY, 'd');
  return `${Math.floor(s / YEAR)}y`;
}

/** Of an API timestamp; `<unknown>` where there is none. */
export function age(timestamp: string | null | undefined, nowMs: number): string {
  return timestamp ? humanDuration(nowMs - Date.parse(timestamp)) : '<unknown>';
}

function two(s: number, large: number, largeUnit: string, small: number, smallUnit: string): string {
  const rest = Math.floor((s % large) / small);
  return `${Math.floor(s / large)}${largeUnit}${rest === 0 ? '' : `${rest}${smallUnit}`}`;
}
