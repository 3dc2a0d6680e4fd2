// Resource quantities (`100m`, `1Gi`, `2e3`) as numbers, for comparing. After k8s.io/apimachinery/pkg/api/resource; the
// text itself is kept as the user wrote it, not put in canonical form (Deviation: the real server rewrites `1000m` to `1`).

const SUFFIXES: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/** NaN for text that is no quantity. */
export function parseQuantity(text: string): number {
  const match = /^([+-]?(?:\d+(?:\.\d*)?|\.\d+))(?:([KMGTPE]i|[numkMGTPE])|[eE]([+-]?\d+))?$/.exec(text);
  if (!match) return Number.NaN;
  const exponent = match[3] === undefined ? 1 : 10 ** Number(match[3]);
  return Number(match[1]) * SUFFIXES[match[2] ?? '']! * exponent;
}
