// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is the shell that expands them
import t from 'tap';
import { type Command, type Script, ShellSyntaxError, type Word } from '../../../../src/node/toolbox/shell/ast.ts';
import { parseShell } from '../../../../src/node/toolbox/shell/parser.ts';
import { fc } from '../../../support/property.ts';

/** A script as one line: words with their quoted parts in brackets, structure in parentheses. */
function show(script: Script): string {
  return script
    .map(({ first, rest, background }) => {
      const pipelines = [first, ...rest.map((r) => r.pipeline)].map(
        ({ negated, commands }) => `${negated ? '! ' : ''}${commands.map(showCommand).join(' | ')}`,
      );
      const joints = rest.map(({ when }) => (when === 'success' ? ' && ' : ' || '));
      return pipelines.map((p, i) => p + (joints[i] ?? '')).join('') + (background ? ' &' : '');
    })
    .join('; ');
}

function showCommand(command: Command): string {
  const to = command.redirections.map((r) => ` ${r.fd}${r.kind}:${showWord(r.target)}`).join('');
  switch (command.kind) {
    case 'simple': {
      const set = command.assignments.map(({ name, value }) => `${name}=${showWord(value)}`);
      return [...set, ...command.words.map(showWord)].join(' ') + to;
    }
    case 'subshell':
    case 'group':
      return `${command.kind}(${show(command.body)})${to}`;
    case 'if': {
      const branches = command.branches.map(({ condition, body }) => `${show(condition)} ? ${show(body)}`);
      return `if(${[...branches, ...(command.otherwise ? [show(command.otherwise)] : [])].join(' : ')})${to}`;
    }
    case 'while':
    case 'until':
      return `${command.kind}(${show(command.condition)} ? ${show(command.body)})${to}`;
    case 'for':
      return `for(${command.variable} in ${command.words?.map(showWord).join(' ') ?? '"$@"'} : ${show(command.body)})${to}`;
  }
}

function showWord(word: Word): string {
  return word
    .map((part) => {
      const text =
        part.kind === 'text'
          ? part.text
          : part.kind === 'parameter'
            ? `\${${part.name}${part.operator ?? ''}${part.argument ? showWord(part.argument) : ''}}`
            : part.kind === 'substitution'
              ? `$(${show(part.script)})`
              : `$((${showWord(part.expression)}))`;
      return part.quoted ? `[${text}]` : text;
    })
    .join('');
}

t.test('scripts become trees', async (t) => {
  for (const [text, tree] of [
    ['', ''],
    ['echo a  b', 'echo a b'],
    [`echo 'a  $b' "c $d" e\\ f`, 'echo [a  $b] [c ][${d}] e[ ]f'],
    ['echo "" \'\'', 'echo [] []'],
    [`a"b"'c'd`, 'a[bc]d'],
    ['echo "\\$a \\"\\\\ \\n"', 'echo [$a "\\ \\n]'],
    ['echo $a${b}c $1 $? $# $$ $', 'echo ${a}${b}c ${1} ${?} ${#} ${$} $'],
    ['echo ${a:-b c} "${a:+$b}" ${#a}', 'echo ${a:-b c} [${a:+${b}}] ${a#}'],
    ['echo $(a | b) `c` "$(d)"', 'echo $(a | b) $(c) [$(d)]'],
    ['echo $((1 + $a * (2)))', 'echo $((1 + ${a} * (2)))'],
    ['a;b', 'a; b'],
    ['a\n\nb;\n', 'a; b'],
    ['a && b || c', 'a && b || c'],
    ['a &&\n b', 'a && b'],
    ['a | b |\n c', 'a | b | c'],
    ['a & b &', 'a &; b &'],
    ['! a | b', '! a | b'],
    ['x=1 y="$x" cmd z=2', 'x=1 y=[${x}] cmd z=2'],
    ['x=', 'x='],
    ['a >f 2>>g <h 2>&1 >&2 3', 'a 3 1write:f 2append:g 0read:h 2duplicate:1 1duplicate:2'],
    ['>f a2>b', 'a2 1write:f 1write:b'],
    ['a # comment\nb#c', 'a; b#c'],
    ['a \\\n b', 'a b'],
    ['(a; b) > f', 'subshell(a; b) 1write:f'],
    ['{ a; b; } | c', 'group(a; b) | c'],
    ['if a; then b; elif c; then d; else e; fi', 'if(a ? b : c ? d : e)'],
    ['while a\ndo b\ndone <f', 'while(a ? b) 0read:f'],
    ['until a; do b; done', 'until(a ? b)'],
    ['for i in 1 "2 3" $x; do echo $i; done', 'for(i in 1 [2 3] ${x} : echo ${i})'],
    ['for i do a; done', 'for(i in "$@" : a)'],
    ['for i in; do a; done', 'for(i in  : a)'],
    ['echo if then }', 'echo if then }'],
    ['echo a{b,c} }', 'echo a{b,c} }'],
    ["echo 'a\nb'\nc", 'echo [a\nb]; c'],
  ] as const)
    t.equal(show(parseShell(text)), tree, text);
});

t.test('syntax errors are dash’s', async (t) => {
  for (const [text, message, line = 1] of [
    ['echo a;; echo b', '";;" unexpected'],
    ['; a', '";" unexpected'],
    ['& a', '"&" unexpected'],
    ['a | | b', '"|" unexpected'],
    ['| a', '"|" unexpected'],
    ['a && ', 'end of file unexpected'],
    ['a |', 'end of file unexpected'],
    ['!', 'end of file unexpected'],
    ['echo )', '")" unexpected'],
    ['echo a(b', '"(" unexpected'],
    ['()', '")" unexpected'],
    ['echo "a', 'Unterminated quoted string'],
    ["echo 'a", 'Unterminated quoted string'],
    ['echo >', 'end of file unexpected'],
    ['echo > ; a', '";" unexpected'],
    ['echo > > b', 'redirection unexpected'],
    ['echo >\nb', 'newline unexpected', 2],
    ['a\nb\n)', '")" unexpected', 3],
    ['fi', '"fi" unexpected'],
    ['in', '"in" unexpected'],
    ['true; then', '"then" unexpected'],
    ['if true; then', 'end of file unexpected (expecting "fi")'],
    ['if true; fi', '"fi" unexpected (expecting "then")'],
    ['if ; then a; fi', '";" unexpected'],
    ['while', 'end of file unexpected (expecting "do")'],
    ['(echo', 'end of file unexpected (expecting ")")'],
    ['{ echo', 'end of file unexpected (expecting "}")'],
    ['for i in a', 'end of file unexpected'],
    ['for i in a; echo', 'word unexpected (expecting "do")'],
    ['for 1 in a; do x; done', 'Bad for loop variable'],
    ['echo $(a', 'end of file unexpected (expecting ")")'],
    ['echo $((1+', "Missing '))'"],
    ['echo ${a', "Missing '}'"],
    ['echo `a', 'EOF in backquote substitution'],
  ] as const) {
    try {
      parseShell(text);
      t.fail(`${text}: no error`);
    } catch (error) {
      t.equal((error as Error).message, `Syntax error: ${message}`, text);
      t.equal((error as ShellSyntaxError).line, line, `${text}: line`);
    }
  }
});

t.test('nothing but ShellSyntaxError is ever thrown', async (t) => {
  const pieces = fc.constantFrom(
    ...[
      'a',
      'b c',
      '1',
      '$x',
      '${x',
      '${x:-',
      '}',
      '$(',
      ')',
      '((',
      '))',
      '`',
      '"',
      "'",
      '\\',
      ';',
      '&',
      '&&',
      '|',
      '||',
    ],
    ...[
      '>',
      '<',
      '>&',
      '2>',
      '\n',
      '#',
      '=',
      'if ',
      'then ',
      'fi ',
      'for i in ',
      'do ',
      'done ',
      'while ',
      '{ ',
      '! ',
      '$',
    ],
  );
  const script = fc.oneof(
    fc.array(pieces, { maxLength: 12 }).map((p) => p.join('')),
    fc.string({ maxLength: 40 }),
  );
  fc.assert(
    fc.property(script, (text) => {
      try {
        parseShell(text);
        return true;
      } catch (error) {
        return error instanceof ShellSyntaxError;
      }
    }),
    { numRuns: 3000 },
  );
  t.pass('3000 scripts');
});

t.test('words are what was quoted', async () => {
  const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
  fc.assert(
    fc.property(fc.array(fc.string({ minLength: 1 }), { minLength: 1 }), (words) => {
      const [andOr] = parseShell(`x ${words.map(quote).join(' ')}`);
      const command = andOr!.first.commands[0]!;
      if (command.kind !== 'simple') return false;
      const texts = command.words.slice(1).map((w) => w.map((p) => (p.kind === 'text' ? p.text : '?')).join(''));
      return JSON.stringify(texts) === JSON.stringify(words);
    }),
  );
});
