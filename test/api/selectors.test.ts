import t from 'tap';
import {
  fieldValue,
  formatLabelSelector,
  labelSelectorMatcher,
  matchesLabelSelector,
  matchesSet,
  parseFieldSelector,
  parseLabelSelector,
  SelectorError,
} from '../../src/api/selectors.ts';
import { fc } from '../support/property.ts';

t.test('label selectors select as kubectl -l does', async (t) => {
  const cases: [string, Record<string, string>, boolean][] = [
    ['', {}, true],
    ['  ', { a: 'b' }, true],
    ['app=web', { app: 'web' }, true],
    ['app==web', { app: 'web' }, true],
    ['app = web', { app: 'web' }, true],
    ['app=web', { app: 'db' }, false],
    ['app=web', {}, false],
    ['app!=web', { app: 'db' }, true],
    ['app!=web', {}, true],
    ['app!=web', { app: 'web' }, false],
    ['app', { app: '' }, true],
    ['app', {}, false],
    ['!app', {}, true],
    ['! app', { app: 'x' }, false],
    ['app in (a, b)', { app: 'b' }, true],
    ['app in (a,b)', { app: 'c' }, false],
    ['app in (a,b)', {}, false],
    ['app notin (a,b)', { app: 'c' }, true],
    ['app notin (a,b)', {}, true],
    ['app notin (a,b)', { app: 'a' }, false],
    ['app in ()', { app: '' }, true],
    ['app=', { app: '' }, true],
    ['app=,tier', { app: '', tier: 'x' }, true],
    ['app=web,tier in (a,b),!x', { app: 'web', tier: 'a' }, true],
    ['app=web,tier in (a,b),!x', { app: 'web', tier: 'a', x: '' }, false],
    ['x.io/n>5', { 'x.io/n': '6' }, true],
    ['n>5', { n: '5' }, false],
    ['n<5', { n: '4' }, true],
    ['n<5', { n: 'four' }, false],
    ['in in (in,notin)', { in: 'notin' }, true],
  ];
  for (const [text, labels, expected] of cases)
    t.equal(parseLabelSelector(text).matches(labels), expected, `${text} on ${JSON.stringify(labels)}`);
  t.equal(parseLabelSelector(undefined).matches(undefined), true);
});

t.test('nonsense is refused', async (t) => {
  for (const text of [
    '=web',
    'a=b=c',
    'a in',
    'a in (',
    'a in (b',
    'a in b',
    ',',
    'a,',
    'a,,b',
    'a b',
    '!',
    '!!a',
    'a!b',
    '/x',
    'a=$',
    'n>x',
    'a notin b)',
    '(a)',
    'a=(b)',
  ]) {
    t.throws(() => parseLabelSelector(text), SelectorError, text);
  }
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom('a', '=', '!', ',', '(', ')', ' ', 'in', 'notin', '<', '/', '.', '\n') }),
      (text) => {
        try {
          parseLabelSelector(text).matches({ a: 'in' });
          return true;
        } catch (error) {
          return error instanceof SelectorError;
        }
      },
    ),
  );
});

t.test('and the message says what was found and what was expected', async (t) => {
  const cases: [string, string][] = [
    ['a in b', "found 'b' expected: '('"],
    ['a in (', "found '', expected: ',', ')' or identifier"],
    ['a in (b', "found '', expected: ',' or ')'"],
    ['a in (b c)', "found 'c', expected: ',' or ')'"],
    ['a in (b,=)', "found '=', expected: ',', or identifier"],
    ['=web', "found '=', expected: identifier"],
    ['a b', "found 'b', expected: in, notin, =, ==, !=, gt, lt"],
  ];
  for (const [text, message] of cases) {
    t.throws(() => parseLabelSelector(text), { message: `unable to parse requirement: ${message}` }, text);
  }
});

t.test('LabelSelector objects: absent selects nothing, empty everything', async (t) => {
  t.equal(matchesLabelSelector(undefined, { a: 'b' }), false);
  t.equal(matchesLabelSelector(null, {}), false);
  t.equal(matchesLabelSelector({}, {}), true);
  t.equal(matchesLabelSelector({ matchLabels: { a: 'b' } }, { a: 'b', c: 'd' }), true);
  const expressions = (operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist', ...values: string[]) => ({
    matchExpressions: [{ key: 'a', operator, values }],
  });
  t.equal(matchesLabelSelector(expressions('In', 'b'), { a: 'b' }), true);
  t.equal(matchesLabelSelector(expressions('NotIn', 'b'), {}), true);
  t.equal(matchesLabelSelector(expressions('Exists'), { a: '' }), true);
  t.equal(matchesLabelSelector(expressions('DoesNotExist'), { a: '' }), false);
  t.throws(() => labelSelectorMatcher({ matchExpressions: [{ key: 'a', operator: 'Foo' as 'In' }] }), SelectorError);
  t.equal(
    formatLabelSelector({
      matchLabels: { app: 'web' },
      matchExpressions: [
        { key: 'tier', operator: 'In', values: ['b', 'a'] },
        { key: 'x', operator: 'DoesNotExist' },
      ],
    }),
    'app=web,tier in (a,b),!x',
  );
});

t.test('the text form of a LabelSelector selects the same', async (t) => {
  const word = fc.constantFrom('a', 'b', 'c');
  const expression = fc.record({
    key: word,
    operator: fc.constantFrom('In', 'NotIn', 'Exists', 'DoesNotExist'),
    values: fc.array(word, { minLength: 1, maxLength: 2 }),
  });
  const selector = fc.record({
    matchLabels: fc.dictionary(word, word, { noNullPrototype: true }),
    matchExpressions: fc.array(expression, { maxLength: 3 }),
  });
  fc.assert(
    fc.property(selector, fc.dictionary(word, word, { noNullPrototype: true }), (s, labels) => {
      const whole = s as Parameters<typeof formatLabelSelector>[0];
      return matchesLabelSelector(whole, labels) === parseLabelSelector(formatLabelSelector(whole)).matches(labels);
    }),
  );
  t.pass();
});

t.test('the selector of a Service selects nothing when empty', async (t) => {
  t.equal(matchesSet(undefined, { a: 'b' }), false);
  t.equal(matchesSet({}, { a: 'b' }), false);
  t.equal(matchesSet({ a: 'b' }, { a: 'b', c: 'd' }), true);
  t.equal(matchesSet({ a: 'b', c: 'd' }, { a: 'b' }), false);
});

t.test('field selectors', async (t) => {
  const object = { metadata: { name: 'a,b' }, spec: { nodeName: 'n1', hostNetwork: false }, status: {} };
  const matches = (text: string) => parseFieldSelector(text).matches((path) => fieldValue(object, path));
  t.equal(matches(''), true);
  t.equal(matches('spec.nodeName=n1'), true);
  t.equal(matches('spec.nodeName==n1,status.phase!=Failed'), true);
  t.equal(matches('spec.nodeName!=n1'), false);
  t.equal(matches('status.phase='), true);
  t.equal(matches('spec.hostNetwork=false'), true);
  t.equal(matches('metadata.name=a\\,b'), true);
  for (const bad of ['x', '=y', 'a=b\\c', 'a=b=c']) t.throws(() => parseFieldSelector(bad), SelectorError, bad);
});
