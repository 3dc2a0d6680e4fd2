import t from 'tap';
import { parseTokenFile } from '../../../src/apiserver/auth/static-tokens.ts';

t.test('a token file names users, their UIDs and groups', async (t) => {
  const text = 'abc,alice,1,"devs,ops"\n\nd"e,bob,2\n"x,y",carol,3,one\nnouid,dave,\n'.replace('d"e', 'def');
  const users = parseTokenFile(text, 'f');
  t.same(Object.fromEntries(users), {
    abc: { name: 'alice', groups: ['devs', 'ops'], uid: '1' },
    def: { name: 'bob', groups: [], uid: '2' },
    'x,y': { name: 'carol', groups: ['one'], uid: '3' },
    nouid: { name: 'dave', groups: [] },
  });
});

t.test('what is wrong is told with its line', async (t) => {
  for (const bad of ['abc', 'a,b', ',alice,1', 'a,b,c,d,e', 'a,"b,c', 'a,"b"c,d']) {
    t.throws(() => parseTokenFile(`ok,u,1\n${bad}\n`, 'tokens.csv'), { message: /^tokens\.csv:2: / }, bad);
  }
  t.throws(() => parseTokenFile('a,b,c\na,d,e\n', 'f'), { message: 'f:2: this token is in the file before' });
});
