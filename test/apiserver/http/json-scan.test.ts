import t from 'tap';
import { duplicateMembers } from '../../../src/apiserver/http/json-scan.ts';
import { fc } from '../../support/property.ts';

t.test('broken JSON is refused in the words of Go', async (t) => {
  const cases: [string, string][] = [
    ['', 'unexpected end of JSON input'],
    ['{', 'unexpected end of JSON input'],
    ['{"a"', 'unexpected end of JSON input'],
    ['"abc', 'unexpected end of JSON input'],
    ['hello', "invalid character 'h' looking for beginning of value"],
    ['{a:1}', "invalid character 'a' looking for beginning of object key string"],
    ['{"a":1,}', "invalid character '}' looking for beginning of object key string"],
    ['{"a" 1}', "invalid character '1' after object key"],
    ['{"a":1 "b"}', `invalid character '"' after object key:value pair`],
    ['[1 2]', "invalid character '2' after array element"],
    ['{} x', "invalid character 'x' after top-level value"],
    ['"a\nb"', "invalid character '\\n' in string literal"],
    ['"\\x"', "invalid character 'x' in string escape code"],
    ['"\\u12g4"', "invalid character 'g' in \\u hexadecimal character escape"],
    ['tru', 'unexpected end of JSON input'],
    ['trux', "invalid character 'x' in literal true (expecting 'e')"],
    ['-', 'unexpected end of JSON input'],
    ['-x', "invalid character 'x' in numeric literal"],
    ['1.', 'unexpected end of JSON input'],
    ['1.x', "invalid character 'x' after decimal point in numeric literal"],
    ['01', "invalid character '1' after top-level value"],
    ['['.repeat(100_000), 'exceeded max depth'],
  ];
  for (const [text, message] of cases) t.throws(() => duplicateMembers(text), { message }, text.slice(0, 20));
});

t.test('what JSON.parse takes is taken, and nothing else', async () => {
  fc.assert(fc.property(fc.json(), (text) => duplicateMembers(text).length === 0 || text.includes('{')));
  const pieces = fc.constantFrom(
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '"a"',
    '"',
    '1',
    '-',
    '.',
    'e',
    'true',
    'nul',
    ' ',
    '\\u00',
    '\\',
  );
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 8 }), (parts) => {
      const text = parts.join('');
      const parses = (parse: (text: string) => unknown): boolean => {
        try {
          parse(text);
          return true;
        } catch {
          return false;
        }
      };
      return parses(duplicateMembers) === parses(JSON.parse);
    }),
    { numRuns: 2000 },
  );
});

t.test('members that come twice are named by their path', async (t) => {
  t.same(duplicateMembers('{"a":1,"a":2}'), ['a']);
  t.same(duplicateMembers('{"spec":{"ports":[{"name":"x"},{"name":"y","na\\u006de":"z"}]},"spec":{}}'), [
    'spec.ports[1].name',
    'spec',
  ]);
});
