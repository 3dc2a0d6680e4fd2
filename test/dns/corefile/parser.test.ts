import { createHash } from 'node:crypto';
import t from 'tap';
import { CorefileError } from '../../../src/dns/corefile/dispenser.ts';
import { tokenize } from '../../../src/dns/corefile/lexer.ts';
import { configurationText, parseCorefile } from '../../../src/dns/corefile/parser.ts';
import { fc } from '../../support/property.ts';
import { startDns } from '../harness.ts';

/** The Corefile kubeadm writes, as of Kubernetes 1.16 to 1.32. */
const KUBEADM = `.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    cache 30
    loop
    reload
    loadbalance
}
`;

function texts(corefile: string, env = {}): unknown {
  return parseCorefile('Corefile', corefile, undefined, env).map((block) => ({
    keys: block.keys,
    ...Object.fromEntries(
      [...block.directives].map(([name, tokens]) => [name, tokens.map((token) => token.text).join(' ')]),
    ),
  }));
}

t.test('tokens have their line and column', async (t) => {
  t.strictSame(tokenize('a "b c" # d\n  e{ "x\\"y"'), [
    { text: 'a', file: '', line: 1, column: 1 },
    { text: 'b c', file: '', line: 1, column: 3 },
    { text: 'e{', file: '', line: 2, column: 3 },
    { text: 'x"y', file: '', line: 2, column: 6 },
  ]);
});

t.test('blocks, addresses, nested options and repeated directives', async (t) => {
  t.strictSame(
    texts(
      '.:53 {\n log\n forward . 1.1.1.1 {\n  policy random\n }\n forward a 2.2.2.2\n}\nb.c, d.e:1053\n{ errors\n}\n',
    ),
    [
      { keys: ['.:53'], log: 'log', forward: 'forward . 1.1.1.1 { policy random } forward a 2.2.2.2' },
      { keys: ['b.c', 'd.e:1053'], errors: 'errors' },
    ],
  );
  t.strictSame(
    texts('example.org\nerrors\nlog\n'),
    [{ keys: ['example.org'], errors: 'errors', log: 'log' }],
    'no braces',
  );
  t.strictSame(texts(''), []);
});

t.test('snippets and environment variables', async (t) => {
  t.strictSame(
    texts('(common) {\n errors\n log {$SCOPE}\n}\n. {\n import common\n cache {%TTL%}\n}\n', {
      SCOPE: 'a.b',
      TTL: '9',
    }),
    [{ keys: ['.'], errors: 'errors', log: 'log a.b', cache: 'cache 9' }],
  );
});

t.test('the hash of the running configuration is the one real clusters log', async (t) => {
  const hash = createHash('sha512')
    .update(configurationText(parseCorefile('Corefile', KUBEADM, undefined)))
    .digest('hex');
  t.equal(
    hash,
    '591cf328cccc12bc490481273e738df59329c62c0b729d94e8b61db9961c2fa5f046dd37f1cf888b953814040d180f52594972691cd6ff41be96639138a43908',
  );
});

const ERRORS: [corefile: string, message: string, line: number, column: number][] = [
  ['. {\n  erors\n}\n', "Corefile:2 - Error during parsing: Unknown directive 'erors'", 2, 3],
  ['. {\n  errors\n', "Corefile:2 - Syntax error: Unexpected token '', expecting '}'", 2, 3],
  ['. {\n errors }\n}\n', "Corefile:2 - Error during parsing: Unexpected '}' because no matching opening brace", 2, 9],
  ['a,\n', 'Corefile:1 - Error during parsing: Unexpected EOF', 1, 1],
  [
    'a, {\n}\n',
    "Corefile:1 - Error during parsing: Expected another address but had '{' - check for extra comma",
    1,
    4,
  ],
  [
    '. {\n import nothing\n}\n',
    'Corefile:2 - Error during parsing: File to import not found: nothing (only snippets can be imported here)',
    2,
    9,
  ],
  [
    '. {\n kubernetes cluster.local {\n  pods maybe\n }\n}\n',
    'plugin/kubernetes: wrong value for pods: maybe,  must be one of: disabled, verified, insecure',
    3,
    0,
  ],
  [
    '. {\n kubernetes cluster.local {\n  nonsense\n }\n}\n',
    "plugin/kubernetes: Corefile:3 - Error during parsing: unknown property 'nonsense'",
    3,
    3,
  ],
  [
    '. {\n kubernetes cluster.local {\n  ttl 3601\n }\n}\n',
    'plugin/kubernetes: Corefile:3 - Error during parsing: ttl must be in range [0, 3600]: 3601',
    3,
    7,
  ],
  ['. {\n kubernetes in-addr.arpa\n}\n', 'plugin/kubernetes: non-reverse zone name must be used', 2, 0],
  ['. {\n cache 0\n}\n', 'plugin/cache: cache TTL can not be zero or negative: 0', 2, 0],
  [
    '. {\n cache {\n  success\n }\n}\n',
    "plugin/cache: Corefile:3 - Error during parsing: Wrong argument count or unexpected line ending after 'success'",
    3,
    3,
  ],
  [
    '. {\n forward\n}\n',
    "plugin/forward: Corefile:2 - Error during parsing: Wrong argument count or unexpected line ending after 'forward'",
    2,
    2,
  ],
  [
    '. {\n forward . tls://1.1.1.1\n}\n',
    "plugin/forward: 'tls' is not supported as a destination protocol in forward: tls://1.1.1.1",
    2,
    0,
  ],
  ['. {\n forward . nowhere\n}\n', 'plugin/forward: not an IP address or file: "nowhere"', 2, 0],
  ['. {\n errors\n errors\n}\n', 'plugin/errors: this plugin can only be used once per Server Block', 3, 0],
  ['. {\n reload 1s\n}\n', 'plugin/reload: interval value must be greater or equal to 2s', 2, 0],
  [
    '. {\n health {\n  lameduck soon\n }\n}\n',
    `plugin/health: unable to parse lameduck duration value: 'soon' : time: invalid duration "soon"`,
    3,
    0,
  ],
];

for (const [corefile, message, line, column] of ERRORS) {
  t.test(`error: ${message}`, async (t) => {
    let error: unknown;
    try {
      parseCorefile('Corefile', corefile, [
        'errors',
        'kubernetes',
        'cache',
        'forward',
        'reload',
        'health',
        'log',
        'import',
      ]);
    } catch (thrown) {
      error = thrown;
    }
    if (error !== undefined) {
      t.type(error, CorefileError);
      t.match(error, { message, line, column });
    }
    await t.rejects(startDns({ corefile }), { message }, 'and the server says it and ends');
  });
}

t.test('the same zone and port twice cannot be served', async (t) => {
  await t.rejects(startDns({ corefile: 'a.:53 {\n errors\n}\na. {\n errors\n}\n' }), {
    message: 'cannot serve dns://a.:53 - it is already defined',
  });
});

t.test('any text is parsed or refused with a CorefileError', async () => {
  const word = fc.constantFrom(
    '.',
    '.:53',
    'a.b,',
    '{',
    '}',
    '\n',
    ' ',
    'errors',
    'import',
    '(s)',
    's',
    '"q',
    '{$X}',
    '#c',
    'forward',
  );
  fc.assert(
    fc.property(fc.array(word, { maxLength: 30 }), (words) => {
      try {
        parseCorefile('Corefile', words.join(' '), undefined);
      } catch (error) {
        if (!(error instanceof CorefileError)) throw error;
      }
    }),
    { numRuns: 1000 },
  );
});
