import t from 'tap';
import { add, formatAmount, parseAmount } from '../../src/api/amount.ts';
import { parseQuantity } from '../../src/api/quantity.ts';
import { fc } from '../support/property.ts';

t.test('quantities are written in their canonical form', async (t) => {
  const cases = {
    '0': '0',
    '1': '1',
    '1000m': '1',
    '1500m': '1500m',
    '0.5': '500m',
    '.5': '500m',
    '100': '100',
    '1000': '1k',
    '12e3': '12k',
    '1e-3': '1m',
    '1k': '1k',
    '1500k': '1500k',
    '1000k': '1M',
    '-2': '-2',
    '1Gi': '1Gi',
    '1024Mi': '1Gi',
    '1536Mi': '1536Mi',
    '1.5Gi': '1536Mi',
    '512Ki': '512Ki',
    '1n': '1n',
    '0.1n': '1n',
  };
  for (const [text, expected] of Object.entries(cases)) t.equal(formatAmount(parseAmount(text)!), expected, text);
  for (const bad of ['', '.', 'm', '1x', '1Ei2', '1 ', '0x1', '1e', '--1']) t.equal(parseAmount(bad), undefined, bad);
});

t.test('what is written means what was read; sums are exact', async () => {
  const suffix = fc.constantFrom('', 'm', 'k', 'M', 'G', 'Ki', 'Mi', 'Gi');
  const text = fc.tuple(fc.integer({ min: 0, max: 1_000_000 }), suffix).map(([n, s]) => `${n}${s}`);
  fc.assert(
    fc.property(text, text, (a, b) => {
      const [x, y] = [parseAmount(a)!, parseAmount(b)!];
      const sum = add(x, y);
      const read = parseAmount(formatAmount(sum))!;
      const near = Math.abs(parseQuantity(formatAmount(sum)) - parseQuantity(a) - parseQuantity(b));
      return read.nano >= sum.nano && read.nano - sum.nano < 1_000_000_000n && near < 1 + parseQuantity(a) * 1e-9;
    }),
  );
});
