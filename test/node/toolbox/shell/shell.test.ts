// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is the shell that expands them
import { execFileSync } from 'node:child_process';
import { getEventListeners } from 'node:events';
import { readlinkSync } from 'node:fs';
import { PassThrough } from 'node:stream';
import t from 'tap';
import { Terminal } from '../../../../src/node/runtime/terminal.ts';
import { TOOLBOX } from '../../../../src/node/toolbox/toolbox.ts';
import { PodWorld, turns } from '../../../support/pod-world.ts';

const world = new PodWorld();
t.teardown(() => world.close());

const sh = (script: string, stdin?: string) => world.run(['sh', '-c', script], stdin === undefined ? {} : { stdin });

/** Script, stdout, stderr, exit code: all of them so in dash too. */
const CASES: readonly (readonly [script: string, stdout: string, stderr?: string, code?: number])[] = [
  ['echo a  b', 'a b\n'],
  [`x='a  b'; echo $x "$x"`, 'a b a  b\n'],
  ['x=1; echo ${x}y $xy "$x"', '1y 1\n'],
  ['echo "[$nothing]" [$nothing] $nothing', '[] []\n'],
  ['echo ${x:-d e} ${y-d} "${z:=s}" $z ${z:+alt} ${#z}', 'd e d s s alt 1\n'],
  [
    'set -- a "b c"; for i in "$@"; do echo "<$i>"; done; for i in $@; do echo "<$i>"; done',
    '<a>\n<b c>\n<a>\n<b>\n<c>\n',
  ],
  ['set -- a b c; echo $# $2 "$*"; shift; echo $1 $#', '3 b a b c\nb 2\n'],
  [
    'echo $((2+3*4)) $((10/3)) $((10%3)) $((1<2)) $((!0)) $((1?2:3)) $((2>1&&0)) $((010)) $((0x1f))',
    '14 3 1 1 1 2 0 8 31\n',
  ],
  ['a=5; echo $((a+1)) $((a=7)) $a $((a+=2))', '6 7 7 9\n'],
  ['false || echo no; true && echo yes; false && echo never', 'no\nyes\n', '', 1],
  ['! true; echo $?; ! false; echo $?', '1\n0\n'],
  ['false | true; echo $?; true | false; echo $?', '0\n1\n'],
  ['if false; then echo a; elif true; then echo b; else echo c; fi', 'b\n'],
  ['if false; then echo a; fi; echo $?', '0\n'],
  ['i=0; while [ $i -lt 4 ]; do i=$((i+1)); [ $i = 2 ] && continue; [ $i = 4 ] && break; echo $i; done', '1\n3\n'],
  ['for i in 1 2; do for j in 1 2; do [ $j = 2 ] && continue 2; echo $i$j; done; done', '11\n21\n'],
  ['until true; do echo x; done; echo y', 'y\n'],
  ['x=1; (x=2; echo $x); echo $x; (exit 3); echo $?', '2\n1\n3\n'],
  ['{ echo a; echo b; } | cat', 'a\nb\n'],
  ['echo a | { read x; echo "<$x>"; }; echo "[$x]"', '<a>\n[]\n'],
  ['x=$(echo a; echo b); echo "$x"; echo $x; echo "$(echo "in $(echo in)")" `echo c`', 'a\nb\na b\nin in c\n'],
  ['x=$(exit 4); echo $?', '4\n'],
  ['printf "1 2\\n3\\n" | while read a b; do echo "$b,$a"; done', '2,1\n,3\n'],
  ['x=1 env | grep ^x=; echo "[$x]"', 'x=1\n[]\n'],
  ['x=1; export x y=2; env | grep -c "^[xy]="', '2\n'],
  ['unset HOME; echo "[$HOME]"', '[]\n'],
  ['cd /tmp; pwd; cd -; cd /etc/..; pwd', '/tmp\n/\n/\n'],
  ['echo a > /tmp/h1; echo b >> /tmp/h1; cat /tmp/h1; cat < /tmp/h1 | wc -l; rm /tmp/h1', 'a\nb\n2\n'],
  ['{ echo out; echo err 1>&2; } > /tmp/h2 2>&1; cat /tmp/h2; rm /tmp/h2', 'out\nerr\n'],
  ['echo err >&2; nosuch 2> /dev/null; echo $?', '127\n', 'err\n'],
  ['nosuch', '', 'sh: 1: nosuch: not found\n', 127],
  ['echo a\n\nnosuch x', 'a\n', 'sh: 3: nosuch: not found\n', 127],
  ['/nosuch', '', 'sh: 1: /nosuch: not found\n', 127],
  ['/etc', '', 'sh: 1: /etc: Permission denied\n', 126],
  ['cat < /nosuch; echo $?', '2\n', 'sh: 1: cannot open /nosuch: No such file\n'],
  ['echo x > /nosuch/y; echo $?', '2\n', 'sh: 1: cannot create /nosuch/y: Directory nonexistent\n'],
  ['echo x > /etc', '', 'sh: 1: cannot create /etc: Is a directory\n', 2],
  ['cd /nosuch; echo $?', '2\n', "sh: 1: cd: can't cd to /nosuch\n"],
  ['echo "a', '', 'sh: 1: Syntax error: Unterminated quoted string\n', 2],
  ['echo ${x:?gone}; echo never', '', 'sh: 1: x: gone\n', 2],
  ['set -u; echo $x', '', 'sh: 1: x: parameter not set\n', 2],
  ['echo $((1/0))', '', 'sh: 1: arithmetic expression: division by zero: "1/0"\n', 2],
  ['shift', '', "sh: 1: shift: can't shift that many\n", 2],
  ['exit x', '', 'sh: 1: exit: Illegal number: x\n', 2],
  ['export 1a=2', '', 'sh: 1: export: 1a: bad variable name\n', 2],
  ['read', '', 'sh: 1: read: arg count\n', 2],
  ['exec nosuch; echo never', '', 'sh: 1: exec: nosuch: not found\n', 127],
  ['exec echo a; echo never', 'a\n'],
  ['eval "x=3; echo \\$x"', '3\n'],
  ['exit 3; echo never', '', '', 3],
  ['set -e; false || true; if false; then :; fi; ! true; false; echo never', '', '', 1],
  ['set -x; a=1 true "b c"; x=2', '', '+ a=1 true b c\n+ x=2\n'],
  [
    'test a = a && [ 2 -gt 1 ] && [ -f /etc/hosts ] && [ -d /tmp ] && [ ! -e /nosuch ] && [ -n x -a -z "" ] && echo ok',
    'ok\n',
  ],
  ['[ a', '', 'sh: 1: [: missing ]\n', 2],
  ['test a -eq b', '', 'sh: 1: test: Illegal number: a\n', 2],
  ['sleep 0.01 & wait; echo $?', '0\n'],
  ['command -v cd nosuch; type cd nosuch', 'cd\ncd is a shell builtin\nnosuch: not found\n', '', 127],
  ['echo ~ ~/x "~"; x=~; echo $x', '/root /root/x ~\n/root\n'],
  ['seq 3 | head -2; seq 5 -2 1 | tail -1; seq 3 | sort -r | uniq | wc -l', '1\n2\n1\n3\n'],
  ['printf "%s-%03d|%5s|%-5s|%x\\n" a 7 b c 255; printf "%s\\n" a b', 'a-007|    b|c    |ff\na\nb\n'],
  ['printf "%d\\n" x', '0\n', 'sh: 1: printf: x: expected numeric value\n', 1],
];

t.test('scripts do what they do in dash', async (t) => {
  for (const [script, stdout, stderr = '', code = 0] of CASES) {
    const result = await sh(script);
    t.equal(result.stdout, stdout, `${script}: stdout`);
    t.equal(result.stderr, stderr, `${script}: stderr`);
    t.equal(result.code, code, `${script}: exit code`);
  }
});

const isDash = (): boolean => {
  try {
    return readlinkSync('/bin/sh').endsWith('dash');
  } catch {
    return false;
  }
};

t.test('and dash agrees', { skip: isDash() || process.env['CI'] ? false : 'needs dash as /bin/sh' }, async (t) => {
  for (const [script, stdout, stderr = '', code = 0] of CASES) {
    const result = { stdout: '', stderr: '', code: 0 };
    try {
      const env = { PATH: process.env['PATH'] ?? '', HOME: '/root' };
      // The file for stderr keeps the order of nothing but itself.
      result.stdout = execFileSync('/bin/sh', ['-c', `exec 3>&1; { sh -c "$1" 3>&-; } 2>/dev/null`, '', script], {
        env,
        cwd: '/',
      }).toString();
      result.stderr = execFileSync('/bin/sh', ['-c', `{ sh -c "$1"; } 2>&1 >/dev/null`, '', script], {
        env,
        cwd: '/',
      }).toString();
    } catch (error) {
      const failed = error as { status: number; stdout: Buffer };
      result.code = failed.status;
      result.stdout = failed.stdout.toString();
      try {
        execFileSync('/bin/sh', ['-c', `{ sh -c "$1"; } 2>&1 >/dev/null`, '', script], {
          cwd: '/',
          env: { PATH: process.env['PATH'] ?? '', HOME: '/root' },
        });
      } catch (again) {
        result.stderr = (again as { stdout: Buffer }).stdout.toString();
      }
    }
    t.same(result, { stdout, stderr, code }, script);
  }
});

t.test('a reader that has enough ends an endless writer', async (t) => {
  const { stdout, code } = await sh('while true; do echo y; done | head -2; echo $?');
  t.equal(stdout, 'y\ny\n0\n');
  t.equal(code, 0);
});

t.test('a background job goes on, kill ends it, and its number is $!', async (t) => {
  const { stdout, seconds } = await sh('sleep 100 & sleep 2; echo $!; kill $!; wait $!; echo $?');
  t.equal(stdout, '2\n143\n');
  t.equal(seconds, 2);
});

t.test('a script from stdin shares it with its commands', async (t) => {
  const { stdout } = await world.run('sh', { stdin: 'echo a\ncat\nthis is for cat\n' });
  t.equal(stdout, 'a\nthis is for cat\n');
  t.equal((await world.run('sh', { stdin: 'for i in 1 2\ndo echo $i\ndone\nexit 3\necho never' })).stdout, '1\n2\n');
});

t.test('a script from a file, with its arguments', async (t) => {
  world.files.write('/tmp/x.sh', 'echo $0 $1 $#\nnosuch\n');
  t.match(await world.run('sh /tmp/x.sh a b'), {
    stdout: '/tmp/x.sh a 2\n',
    stderr: '/tmp/x.sh: 2: nosuch: not found\n',
    code: 127,
  });
  t.match(await world.run('sh nosuch.sh'), { code: 2, stderr: 'sh: 0: cannot open nosuch.sh: No such file\n' });
  t.match(await world.run('sh -q'), { code: 2, stderr: 'sh: 0: Illegal option -q\n' });
  t.match(await world.run(['bash', '-c', 'nosuch']), { stderr: 'bash: line 1: nosuch: command not found\n' });
});

t.test('at a terminal: prompts, unfinished commands, ^C and ^D', async (t) => {
  const keys = new PassThrough();
  const screen = new PassThrough();
  let shown = '';
  screen.on('data', (chunk: Buffer) => void (shown += chunk.toString()));
  const terminal = new Terminal(keys, screen);
  const foreground = terminal.enter(() => t.fail('^C went to the shell’s parent'));
  const context = world.context(['bash'], { tty: true }, world.pod, screen, screen);
  const bash = TOOLBOX.get('bash')!;
  let code: number | undefined;
  void bash({ ...context, stdin: foreground.input, stdout: terminal.output, stderr: terminal.output, terminal }).then(
    (exit) => void (code = exit),
  );
  const type = async (text: string): Promise<string> => {
    shown = '';
    keys.write(text);
    await turns(20);
    return shown;
  };
  const prompt = 'root@jump:/# ';
  await turns(5);
  t.equal(shown, prompt);
  t.equal(await type('echo hi\r'), `echo hi\r\nhi\r\n${prompt}`);
  t.equal(await type('if true; then\r'), 'if true; then\r\n> ');
  t.equal(await type('cd /tmp; fi\r'), 'cd /tmp; fi\r\nroot@jump:/tmp# ');
  t.equal(await type('cd\r'), 'cd\r\nroot@jump:~# ');
  t.equal(await type('echo unwanted\x03'), 'echo unwanted^C\r\nroot@jump:~# ');
  t.equal(await type('echo $?\r'), 'echo $?\r\n130\r\nroot@jump:~# ');
  t.equal(await type('sleep 100\r'), 'sleep 100\r\n');
  t.equal(await type('\x03'), '^C\r\nroot@jump:~# ');
  t.equal(await type('cat\rto cat\r'), 'cat\r\nto cat\r\nto cat\r\n');
  t.equal(await type('\x04'), 'root@jump:~# ');
  t.equal(await type('nosuch\r'), 'nosuch\r\nbash: nosuch: command not found\r\nroot@jump:~# ');
  t.equal(await type('fi\r'), 'fi\r\nbash: Syntax error: "fi" unexpected\r\nroot@jump:~# ');
  t.equal(await type('\x04'), 'exit\r\n');
  t.equal(code, 2);
});

world.startWeb(['--port', '8080']);
t.test('a loop leaves no listener for the end of its process behind', async (t) => {
  const { signal } = new AbortController();
  const body =
    'curl -s -m 60 -o /dev/null ent:8080; sleep 1 & wait; cat </etc/hostname >/dev/null; echo | cat >/dev/null';
  const script = `for i in 1 2 3; do ${body}; done`;
  const result = await world.run(['sh', '-c', script], { signal });
  t.match(result, { code: 0, stderr: '' });
  t.same(getEventListeners(signal, 'abort'), []);
});
