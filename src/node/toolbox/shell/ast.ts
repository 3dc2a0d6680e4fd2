// The tree of a shell script, as shell/parser.ts makes it and shell/interpreter.ts walks it.

export type WordPart =
  | { readonly kind: 'text'; readonly text: string; readonly quoted: boolean }
  | Parameter
  | { readonly kind: 'substitution'; readonly script: Script; readonly quoted: boolean }
  | { readonly kind: 'arithmetic'; readonly expression: Word; readonly quoted: boolean };

export interface Parameter {
  readonly kind: 'parameter';
  readonly name: string;
  readonly quoted: boolean;
  /** `-` default, `=` assign, `?` fail, `+` alternative, `#` length; with a colon an empty value counts as unset. */
  readonly operator?: '-' | '=' | '?' | '+' | '#' | ':-' | ':=' | ':?' | ':+';
  readonly argument?: Word;
}

export type Word = readonly WordPart[];

export interface Redirection {
  readonly fd: number;
  readonly kind: 'read' | 'write' | 'append' | 'duplicate';
  readonly target: Word;
}

export interface Simple {
  readonly kind: 'simple';
  readonly line: number;
  readonly assignments: readonly { readonly name: string; readonly value: Word }[];
  readonly words: readonly Word[];
  readonly redirections: readonly Redirection[];
}

export type Compound =
  | { readonly kind: 'subshell' | 'group'; readonly body: Script; readonly redirections: readonly Redirection[] }
  | {
      readonly kind: 'if';
      readonly branches: readonly { readonly condition: Script; readonly body: Script }[];
      readonly otherwise: Script | undefined;
      readonly redirections: readonly Redirection[];
    }
  | {
      readonly kind: 'while' | 'until';
      readonly condition: Script;
      readonly body: Script;
      readonly redirections: readonly Redirection[];
    }
  | {
      readonly kind: 'for';
      readonly variable: string;
      /** Undefined: the positional parameters. */
      readonly words: readonly Word[] | undefined;
      readonly body: Script;
      readonly redirections: readonly Redirection[];
    };

export type Command = Simple | Compound;

export interface Pipeline {
  readonly negated: boolean;
  readonly commands: readonly Command[];
}

/** Pipelines joined by && and ||. */
export interface AndOr {
  readonly first: Pipeline;
  readonly rest: readonly { readonly when: 'success' | 'failure'; readonly pipeline: Pipeline }[];
  readonly background: boolean;
}

export type Script = readonly AndOr[];

/** Worded as dash words it. */
export class ShellSyntaxError extends Error {
  readonly line: number;

  constructor(line: number, message: string) {
    super(`Syntax error: ${message}`);
    this.line = line;
  }
}
