// metav1.Time: RFC 3339 in UTC with whole seconds, as the API stores it, and metav1.MicroTime for trigger times.

/** `2026-01-01T00:00:00Z`. Fractions of a second are cut, not rounded, as Go's time.Format does. */
export function formatTime(unixMs: number): string {
  return `${new Date(unixMs).toISOString().slice(0, 19)}Z`;
}

/** RFC3339Nano: fractions only where there are any. */
export function formatTimeNano(unixMs: number): string {
  return new Date(unixMs).toISOString().replace(/\.?0*Z$/, 'Z');
}

/** Milliseconds since the epoch; NaN for a missing or malformed time. */
export function parseTime(text: string | null | undefined): number {
  return text ? Date.parse(text) : Number.NaN;
}
