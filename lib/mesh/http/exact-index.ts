// SPDX-License-Identifier: Apache-2.0
//
// Many entries for one path, told apart by the exact value of one header, parameter or the method (a header per
// tenant, say): a table by that value, so that only those are asked that can match. Entries that do not ask for it
// are asked as well.

import type { NamedPattern, Pattern } from './pattern.ts';
import { queryValue, type RequestView } from './request.ts';

/** What of an entry tells it apart. */
interface Discriminated {
  readonly method: Pattern | undefined;
  readonly headers: readonly NamedPattern[];
  readonly query: readonly NamedPattern[];
}

interface Trier {
  try(positions: readonly number[]): void;
}

/** What entries are told apart by: a header, a query parameter, or the method with the name ''. */
interface Key {
  readonly of: 'header' | 'query' | 'method';
  readonly name: string;
}

export class ExactIndex {
  /** From how many entries on a table pays. */
  static readonly WORTH = 8;

  readonly #key: Key;
  readonly #byValue: ReadonlyMap<string, readonly number[]>;
  readonly #rest: readonly number[];

  private constructor(key: Key, byValue: ReadonlyMap<string, readonly number[]>, rest: readonly number[]) {
    this.#key = key;
    this.#byValue = byValue;
    this.#rest = rest;
  }

  /** undefined when nothing would be gained. */
  static of(positions: readonly number[], entries: readonly Discriminated[]): ExactIndex | undefined {
    if (positions.length < ExactIndex.WORTH) return undefined;
    const values = new Map<string, { readonly key: Key; readonly byValue: Map<string, number[]> }>();
    for (const position of positions) {
      for (const [key, value] of exactKeys(entries[position]!)) {
        const id = `${key.of} ${key.name}`;
        const one = values.get(id) ?? { key, byValue: new Map<string, number[]>() };
        values.set(id, one);
        const list = one.byValue.get(value) ?? [];
        one.byValue.set(value, list);
        list.push(position);
      }
    }
    let best: ExactIndex | undefined;
    let worst = positions.length;
    for (const { byValue, key } of values.values()) {
      const held = new Set([...byValue.values()].flat());
      const rest = positions.filter((position) => !held.has(position));
      const cost = rest.length + Math.max(...[...byValue.values()].map((list) => list.length));
      if (cost < worst) {
        worst = cost;
        best = new ExactIndex(key, byValue, rest);
      }
    }
    return best;
  }

  visit(request: RequestView, trier: Trier): void {
    const value = discriminator(this.#key, request);
    const positions = value === undefined ? undefined : this.#byValue.get(value);
    if (positions !== undefined) trier.try(positions);
    if (this.#rest.length > 0) trier.try(this.#rest);
  }
}

function discriminator(key: Key, request: RequestView): string | undefined {
  switch (key.of) {
    case 'header':
      return request.header(key.name);
    case 'query':
      return queryValue(request.path, key.name);
    case 'method':
      return request.method;
  }
}

/** Every key the entry asks an exact value of; one value a key. */
function exactKeys(entry: Discriminated): [Key, string][] {
  const out: [Key, string][] = [];
  const add = (of: Key['of'], name: string, value: string | undefined): void => {
    if (value !== undefined && !out.some(([key]) => key.of === of && key.name === name))
      out.push([{ of, name }, value]);
  };
  add('method', '', entry.method?.exact);
  for (const { name, pattern } of entry.headers) add('header', name, pattern.exact);
  for (const { name, pattern } of entry.query) add('query', name, pattern.exact);
  return out;
}
