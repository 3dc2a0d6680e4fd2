// Quantities that are added up and compared exactly, and written in their canonical form: the largest suffix with which no fraction
// is left (`1500m`, `2`, `1536Mi`). After k8s.io/apimachinery/pkg/api/resource (quantity.go, suffix.go).

export interface Amount {
  /** In thousand millionths, the smallest part that Kubernetes knows. */
  readonly nano: bigint;
  /** Written with Ki, Mi, ...; otherwise with m, k, M, ... */
  readonly binary: boolean;
}

export type Amounts = ReadonlyMap<string, Amount>;

const NANO = 1_000_000_000n;
const DECIMAL = ['n', 'u', 'm', '', 'k', 'M', 'G', 'T', 'P', 'E'];
const BINARY = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'];

export function count(items: number): Amount {
  return { nano: BigInt(items) * NANO, binary: false };
}

/** undefined for text that is no quantity. Smaller parts than a nano are rounded up. */
export function parseAmount(text: string): Amount | undefined {
  const match = /^([+-]?)(\d+)?(?:\.(\d*))?(?:(n|u|m|k|[KMGTPE]i|[MGTPE])|[eE]([+-]?\d{1,3}))?$/.exec(text);
  const [, sign, whole = '', fraction = '', suffix = '', exponent = '0'] = match ?? [];
  if (!match || whole + fraction === '') return undefined;
  const digits = BigInt(whole + fraction) * (sign === '-' ? -1n : 1n);
  const power = BINARY.indexOf(suffix);
  const binary = power > 0;
  const tens = 9 - fraction.length + (binary ? 0 : (DECIMAL.indexOf(suffix) - 3) * 3) + Number(exponent);
  const scaled = digits * (binary ? 1024n ** BigInt(power) : 1n);
  if (tens >= 0) return { nano: scaled * 10n ** BigInt(tens), binary };
  const divisor = 10n ** BigInt(-tens);
  const up = scaled > 0n && scaled % divisor !== 0n ? 1n : 0n;
  return { nano: scaled / divisor + up, binary };
}

export function formatAmount({ nano, binary }: Amount): string {
  if (nano === 0n) return '0';
  const small = nano > -1024n * NANO && nano < 1024n * NANO;
  return binary && !small ? suffixed((nano + NANO - 1n) / NANO, 1024n, BINARY) : suffixed(nano, 1000n, DECIMAL);
}

/** The sum takes the form of the first that has one. */
export function add(a: Amount | undefined, b: Amount): Amount {
  return a === undefined || a.nano === 0n ? b : { nano: a.nano + b.nano, binary: a.binary };
}

/** Those of the map's quantities that are well-formed. */
export function amountsOf(quantities: Readonly<Record<string, string>> = {}): Map<string, Amount> {
  const amounts = new Map<string, Amount>();
  for (const [name, text] of Object.entries(quantities)) {
    const amount = parseAmount(String(text));
    if (amount) amounts.set(name, amount);
  }
  return amounts;
}

/** `cpu=1,pods=2`, by name. */
export function describeAmounts(amounts: Amounts, names: readonly string[]): string {
  return [...names]
    .sort()
    .map((name) => `${name}=${formatAmount(amounts.get(name) ?? count(0))}`)
    .join(',');
}

function suffixed(value: bigint, base: bigint, suffixes: readonly string[]): string {
  let rest = value;
  let i = 0;
  while (i < suffixes.length - 1 && rest % base === 0n) {
    rest /= base;
    i++;
  }
  return `${rest}${suffixes[i]}`;
}
