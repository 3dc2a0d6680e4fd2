// `$((…))`: integers, variables, the operators of C that people count with, assignment. Precedence climbing; values are JavaScript
// numbers cut to 64 bits. Left out: bit operators other than ~, ++ and --.

export interface ArithmeticVariables {
  get(name: string): string | undefined;
  set(name: string, value: string): void;
}

/** Worded as dash words it. */
export class ArithmeticError extends Error {
  constructor(message: string, expression: string) {
    super(`arithmetic expression: ${message}: "${expression}"`);
  }
}

const BINARY: Readonly<Record<string, { readonly level: number; readonly apply: (a: bigint, b: bigint) => bigint }>> = {
  '||': { level: 1, apply: (a, b) => truth(a !== 0n || b !== 0n) },
  '&&': { level: 2, apply: (a, b) => truth(a !== 0n && b !== 0n) },
  '==': { level: 3, apply: (a, b) => truth(a === b) },
  '!=': { level: 3, apply: (a, b) => truth(a !== b) },
  '<': { level: 4, apply: (a, b) => truth(a < b) },
  '>': { level: 4, apply: (a, b) => truth(a > b) },
  '<=': { level: 4, apply: (a, b) => truth(a <= b) },
  '>=': { level: 4, apply: (a, b) => truth(a >= b) },
  '+': { level: 5, apply: (a, b) => a + b },
  '-': { level: 5, apply: (a, b) => a - b },
  '*': { level: 6, apply: (a, b) => a * b },
  '/': { level: 6, apply: (a, b) => a / b },
  '%': { level: 6, apply: (a, b) => a % b },
};

const TOKENS = /\s*(?:(0[xX][0-9a-fA-F]+|\d+)|([A-Za-z_]\w*)|(\|\||&&|[-+*/%]=|[=!<>]=|[-+*/%<>=!~?:()]))/y;

type Token = { readonly kind: 'number' | 'name' | 'operator'; readonly text: string };

/** Throws ArithmeticError. */
export function evaluate(expression: string, variables: ArithmeticVariables): string {
  return new Evaluator(expression, variables).run();
}

class Evaluator {
  readonly #expression: string;
  readonly #variables: ArithmeticVariables;
  readonly #tokens: Token[] = [];
  #at = 0;

  constructor(expression: string, variables: ArithmeticVariables) {
    this.#expression = expression;
    this.#variables = variables;
    TOKENS.lastIndex = 0;
    for (let rest = expression; rest.trim() !== ''; rest = expression.slice(TOKENS.lastIndex)) {
      const match = TOKENS.exec(expression);
      if (!match) throw this.#error('expecting primary');
      const kind = match[1] !== undefined ? 'number' : match[2] !== undefined ? 'name' : 'operator';
      this.#tokens.push({ kind, text: (match[1] ?? match[2] ?? match[3])! });
    }
  }

  run(): string {
    if (this.#tokens.length === 0) return '0';
    const value = this.#assignment();
    if (this.#at < this.#tokens.length) throw this.#error('expecting EOF');
    return String(value);
  }

  #assignment(): bigint {
    const [name, operator] = [this.#tokens[this.#at], this.#tokens[this.#at + 1]];
    const isAssignment = operator?.kind === 'operator' && /^[-+*/%]?=$/.test(operator.text);
    if (name?.kind !== 'name' || !isAssignment) return this.#conditional();
    this.#at += 2;
    const right = this.#assignment();
    const value = operator.text === '=' ? right : this.#apply(operator.text[0]!, this.#value(name.text), right);
    this.#variables.set(name.text, String(value));
    return value;
  }

  #conditional(): bigint {
    const condition = this.#binary(1);
    if (!this.#take('?')) return condition;
    const yes = this.#assignment();
    if (!this.#take(':')) throw this.#error("expecting ':'");
    const no = this.#conditional();
    return condition !== 0n ? yes : no;
  }

  #binary(level: number): bigint {
    let left = this.#unary();
    for (;;) {
      const token = this.#tokens[this.#at];
      const operator = token?.kind === 'operator' ? BINARY[token.text] : undefined;
      if (!token || !operator || operator.level < level) return left;
      this.#at++;
      left = this.#apply(token.text, left, this.#binary(operator.level + 1));
    }
  }

  #unary(): bigint {
    if (this.#take('-')) return -this.#unary();
    if (this.#take('+')) return this.#unary();
    if (this.#take('!')) return truth(this.#unary() === 0n);
    if (this.#take('~')) return ~this.#unary();
    if (this.#take('(')) {
      const value = this.#assignment();
      if (!this.#take(')')) throw this.#error("expecting ')'");
      return value;
    }
    const token = this.#tokens[this.#at++];
    if (token?.kind === 'number') return this.#number(token.text);
    if (token?.kind === 'name') return this.#value(token.text);
    throw this.#error('expecting primary');
  }

  #apply(operator: string, left: bigint, right: bigint): bigint {
    if ((operator === '/' || operator === '%') && right === 0n) throw this.#error('division by zero');
    return BigInt.asIntN(64, BINARY[operator]!.apply(left, right));
  }

  #take(operator: string): boolean {
    const token = this.#tokens[this.#at];
    if (token?.kind !== 'operator' || token.text !== operator) return false;
    this.#at++;
    return true;
  }

  #value(name: string): bigint {
    const text = this.#variables.get(name)?.trim() ?? '';
    if (text === '') return 0n;
    if (!/^[-+]?(0[xX][0-9a-fA-F]+|\d+)$/.test(text)) throw new ArithmeticError('Illegal number', text);
    return text.startsWith('-') ? -this.#number(text.slice(1)) : this.#number(text.replace('+', ''));
  }

  #number(text: string): bigint {
    if (!/^0\d/.test(text)) return BigInt(text);
    if (/[89]/.test(text)) throw this.#error('expecting EOF'); // octal
    return BigInt(`0o${text.slice(1)}`);
  }

  #error(message: string): ArithmeticError {
    return new ArithmeticError(message, this.#expression);
  }
}

function truth(value: boolean): bigint {
  return value ? 1n : 0n;
}
