// What a row of figures says: medians, a straight line through points, ratios within rounds.

export interface Line {
  readonly slope: number;
  readonly intercept: number;
  /** Coefficient of determination: 1 when the points lie on the line. */
  readonly r2: number;
}

/** Ordinary least squares over points (x, y). */
export function fitLine(points: readonly (readonly [number, number])[]): Line {
  const n = points.length;
  const mx = points.reduce((s, [x]) => s + x, 0) / n;
  const my = points.reduce((s, [, y]) => s + y, 0) / n;
  const sxx = points.reduce((s, [x]) => s + (x - mx) ** 2, 0);
  const sxy = points.reduce((s, [x, y]) => s + (x - mx) * (y - my), 0);
  const slope = sxy / sxx;
  const intercept = my - slope * mx;
  const residual = points.reduce((s, [x, y]) => s + (y - intercept - slope * x) ** 2, 0);
  const total = points.reduce((s, [, y]) => s + (y - my) ** 2, 0);
  return { slope, intercept, r2: total === 0 ? 1 : 1 - residual / total };
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** The least value that at least this part of all does not exceed. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)]!;
}

/** How much `a` costs beside `b`: the median of the rounds' ratios, since a round's mood falls on both. */
export function ratioByRound(a: readonly number[], b: readonly number[]): number {
  return median(a.map((value, i) => value / b[i]!));
}
