// SPDX-License-Identifier: Apache-2.0
// Finds files that import each other, on whatever way round (Tarjan, Depth-first search and linear graph algorithms, 1972). Imports of
// types count: they do no harm when the program runs, but whoever reads one file of a circle has to read them all.
import type { Import } from './imports.ts';

/** Sets of files each of which leads to all the others; sorted, and with them their files. */
export function importCircles(imports: readonly Import[]): string[][] {
  const targets = new Map<string, string[]>();
  for (const { file, target } of imports) {
    if (target.kind !== 'project') continue;
    const known = targets.get(file);
    if (known === undefined) targets.set(file, [target.path]);
    else known.push(target.path);
  }
  const search = new Search(targets);
  for (const file of targets.keys()) search.visit(file);
  return search.circles.sort(([a = ''], [b = '']) => (a < b ? -1 : 1));
}

class Search {
  readonly circles: string[][] = [];
  readonly #targets: ReadonlyMap<string, readonly string[]>;
  /** Order in which files were met. */
  readonly #met = new Map<string, number>();
  readonly #open: string[] = [];
  readonly #isOpen = new Set<string>();

  constructor(targets: ReadonlyMap<string, readonly string[]>) {
    this.#targets = targets;
  }

  /** The earliest open file that this one leads to. */
  visit(file: string): number {
    const known = this.#met.get(file);
    if (known !== undefined) return this.#isOpen.has(file) ? known : Number.POSITIVE_INFINITY;
    const own = this.#met.size;
    this.#met.set(file, own);
    this.#open.push(file);
    this.#isOpen.add(file);
    const targets = this.#targets.get(file) ?? [];
    const low = targets.reduce((least, target) => Math.min(least, this.visit(target)), own);
    if (low < own) return low;
    const circle = this.#open.splice(this.#open.indexOf(file)).sort();
    for (const one of circle) this.#isOpen.delete(one);
    if (circle.length > 1 || targets.includes(file)) this.circles.push(circle);
    return own;
  }
}
