// SPDX-License-Identifier: Apache-2.0
//
// The first of a host's entries that matches a request, found by the request's path: those entries are asked in order that the
// path does not rule out, and nobody else.

import type { CompiledEntry } from './compiled-entry.ts';
import { ExactIndex } from './exact-index.ts';
import { PathIndex, type PathVisitor } from './path-index.ts';
import { literalPrefix } from './regex.ts';
import { pathLength, type RequestView } from './request.ts';

/** Finds the first entry of a host that matches. One finder serves request after request. */
export class EntryFinder implements PathVisitor {
  /** No entry looks at anything but the path. */
  byPath = true;
  readonly #entries: CompiledEntry[] = [];
  readonly #paths = new PathIndex();
  /** Lists of the index that are long; told apart by one header, the method or a parameter where that narrows them. */
  readonly #long = new Set<readonly number[]>();
  readonly #narrowed = new Map<readonly number[], ExactIndex>();
  /** Entries for any path, and those whose case does not count. */
  readonly #others: number[] = [];
  readonly #folded = new PathIndex();
  #hasFolded = false;
  #best = 0;
  #request: RequestView | undefined;
  #length = 0;

  /** The next in the order in which entries are asked. */
  add(compiled: CompiledEntry): void {
    const position = this.#entries.length;
    this.#entries.push(compiled);
    this.byPath &&= compiled.byPath;
    const list = this.#place(compiled, position);
    if (list.length === ExactIndex.WORTH) this.#long.add(list);
  }

  /** All are there: from now on it is asked. */
  seal(): void {
    for (const list of this.#long) {
      const narrowed = ExactIndex.of(list, this.#entries);
      if (narrowed !== undefined) this.#narrowed.set(list, narrowed);
    }
  }

  /** Puts it where its path says; returns all that stand there. */
  #place({ entry }: CompiledEntry, position: number): readonly number[] {
    const { ignoreCase, kind, value } = entry.match.path;
    const list = kind === 'regex' ? 'prefix' : kind;
    const text = ignoreCase ? value.toLowerCase() : value;
    const literal = kind === 'regex' ? (ignoreCase ? '' : literalPrefix(value)) : text;
    if (list === 'any' || (list !== 'exact' && literal === '')) {
      this.#others.push(position);
      return this.#others;
    }
    if (ignoreCase) this.#hasFolded = true;
    return (ignoreCase ? this.#folded : this.#paths).add(literal, list, position);
  }

  /** undefined: none. */
  find(request: RequestView): CompiledEntry | undefined {
    const { path } = request;
    const length = pathLength(path);
    const none = this.#entries.length;
    this.#best = none;
    this.#request = request;
    this.#length = length;
    this.#paths.visit(path, length, this);
    if (this.#hasFolded) this.#folded.visit(path.slice(0, length).toLowerCase(), length, this);
    if (this.#others.length > 0) this.visit(this.#others);
    this.#request = undefined;
    return this.#best === none ? undefined : this.#entries[this.#best];
  }

  visit(positions: readonly number[]): void {
    const narrowed = positions.length < ExactIndex.WORTH ? undefined : this.#narrowed.get(positions);
    if (narrowed === undefined) {
      this.try(positions);
      return;
    }
    narrowed.visit(this.#request!, this);
  }

  /** Asks entries in order until one matches or a better one is known. */
  try(positions: readonly number[]): void {
    for (let i = 0; i < positions.length; i++) {
      const position = positions[i]!;
      if (position >= this.#best) return;
      if (this.#entries[position]!.matches(this.#request!, this.#length)) {
        this.#best = position;
        return;
      }
    }
  }
}
