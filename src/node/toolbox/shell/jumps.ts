// What leaves a running shell command from inside: thrown by built-ins, caught by the interpreter.

/** `exit`, or an error that ends the shell. */
export class Exit extends Error {
  readonly code: number;

  constructor(code: number) {
    super('exit');
    this.code = code;
  }
}

/** `break` and `continue` on their way to the loop they mean. */
export class LoopJump extends Error {
  readonly kind: 'break' | 'continue';
  levels: number;

  constructor(kind: 'break' | 'continue', levels: number) {
    super(kind);
    this.kind = kind;
    this.levels = levels;
  }
}
