// SPDX-License-Identifier: Apache-2.0
// Expected failure as a value: parsing foreign input gives its value or every problem found, each with its place.

/** One thing wrong with an input: where it is and how to mend it. */
export interface Problem {
  /** The object it lies in (`AuthorizationPolicy shop/deny-cart`), when there is one. */
  readonly object?: string;
  /** Path of the field (`spec.rules[0].from[1].source.ipBlocks[0]`); empty for the object as a whole. */
  readonly field: string;
  readonly message: string;
  /** What to write instead. */
  readonly fix?: string;
}

export type Result<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problems: readonly Problem[] };

export function ok<T>(value: T): Result<T> {
  return { ok: true, value };
}

/** A failed result; needs at least one problem, since a failure without a reason helps nobody. */
export function fail(...problems: [Problem, ...Problem[]]): {
  readonly ok: false;
  readonly problems: readonly Problem[];
} {
  return { ok: false, problems };
}

/** `OBJECT: FIELD: MESSAGE; FIX` with the parts that exist. */
export function formatProblem({ object, field, message, fix }: Problem): string {
  const place = [object, field].filter((part) => part !== undefined && part !== '').join(': ');
  return `${place === '' ? '' : `${place}: `}${message}${fix === undefined ? '' : `; ${fix}`}`;
}
