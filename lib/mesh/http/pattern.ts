// SPDX-License-Identifier: Apache-2.0
//
// Conditions on strings, compiled once and asked for every request.

import { wholeRegex } from './regex.ts';
import type { NamedMatch, StringMatch } from './route-table.ts';

const EXACT = 0;
const PREFIX = 1;
const SUFFIX = 2;
const REGEX = 3;
const PRESENT = 4;
const NEVER = 5;

const KINDS = { exact: EXACT, prefix: PREFIX, suffix: SUFFIX, regex: REGEX, present: PRESENT } as const;

/** One class for all kinds keeps the call sites monomorphic. */
export class Pattern {
  readonly #kind: number;
  readonly #value: string;
  readonly #ignoreCase: boolean;
  readonly #regex: RegExp;
  /** Why it never matches; '' when it is good. */
  readonly problem: string;

  constructor({ ignoreCase, kind, value }: StringMatch) {
    const regex = kind === 'regex' ? wholeRegex(value, ignoreCase) : NO_REGEX;
    this.problem = typeof regex === 'string' ? `${value} ${regex}` : '';
    this.#kind = typeof regex === 'string' ? NEVER : KINDS[kind];
    this.#regex = typeof regex === 'string' ? NO_REGEX : regex;
    this.#ignoreCase = ignoreCase && kind !== 'regex';
    this.#value = this.#ignoreCase ? value.toLowerCase() : value;
  }

  /** The one value that matches; undefined when there may be others. */
  get exact(): string | undefined {
    return this.#kind === EXACT && !this.#ignoreCase ? this.#value : undefined;
  }

  test(given: string): boolean {
    const text = this.#ignoreCase ? given.toLowerCase() : given;
    switch (this.#kind) {
      case EXACT:
        return text === this.#value;
      case PREFIX:
        return text.startsWith(this.#value);
      case SUFFIX:
        return text.endsWith(this.#value);
      case REGEX:
        return this.#regex.test(text);
      case PRESENT:
        return true;
      default:
        return false;
    }
  }
}

const NO_REGEX = /^/;

export class NamedPattern {
  readonly name: string;
  readonly pattern: Pattern;

  constructor({ name, value }: NamedMatch) {
    this.name = name;
    this.pattern = new Pattern(value);
  }
}

export function patternText({ ignoreCase, kind, value }: StringMatch): string {
  const quoted = `"${value}"${ignoreCase ? ' in any case' : ''}`;
  switch (kind) {
    case 'exact':
      return `is ${quoted}`;
    case 'prefix':
      return `begins with ${quoted}`;
    case 'suffix':
      return `ends with ${quoted}`;
    case 'regex':
      return `matches ${value}`;
    case 'present':
      return 'is there';
  }
}
