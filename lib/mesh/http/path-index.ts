// SPDX-License-Identifier: Apache-2.0
//
// Which of thousands of paths fit a request's, in one walk over its characters. Every literal (an exact path, a
// prefix, what a regular expression begins with) lies in one hash table under the hash of its characters; the walk
// keeps the hash of what it has passed and, at each length at which any literal ends, looks it up. Nothing is cut
// from the path, nothing is allocated, and the number of routes is not in the cost.

/** What may end at a literal, as ascending positions of entries. */
export interface PathNode {
  readonly text: string;
  /** The path ends here. */
  exact: number[];
  /** The path ends here, or an element does. */
  segments: number[];
  /** Whatever follows. */
  prefix: number[];
  readonly hash: number;
  /** Next of the same slot. */
  next: PathNode | undefined;
}

export type NodeList = 'exact' | 'segments' | 'prefix';

const SEED = 0x811c9dc5 | 0;
const SLASH = 47;
/** What most lists of a node are: nobody adds to this one. */
const NONE: number[] = [];

function step(hash: number, code: number): number {
  return Math.imul(hash ^ code, 0x01000193);
}

function spread(hash: number): number {
  return (hash ^ (hash >>> 15)) >>> 0;
}

/** Receives the lists that fit, in no particular order. */
export interface PathVisitor {
  visit(positions: readonly number[]): void;
}

export class PathIndex {
  #nodes: PathNode[] = [];
  #slots: (PathNode | undefined)[] = [];
  /** At which lengths literals end. */
  #ends = new Uint8Array(1);

  /** @returns the list that now holds the position */
  add(text: string, list: NodeList, position: number): readonly number[] {
    let hash = SEED;
    for (let i = 0; i < text.length; i++) hash = step(hash, text.charCodeAt(i));
    let node = this.#find(hash, text);
    if (node === undefined) {
      node = { text, exact: NONE, segments: NONE, prefix: NONE, hash, next: undefined };
      this.#insert(node);
    }
    const positions = node[list];
    if (positions !== NONE) {
      positions.push(position);
      return positions;
    }
    node[list] = [position];
    return node[list];
  }

  #find(hash: number, text: string): PathNode | undefined {
    if (this.#slots.length === 0) return undefined;
    let node = this.#slots[spread(hash) & (this.#slots.length - 1)];
    while (node !== undefined && (node.hash !== hash || node.text !== text)) node = node.next;
    return node;
  }

  #insert(node: PathNode): void {
    this.#nodes.push(node);
    if (this.#nodes.length * 2 > this.#slots.length) {
      this.#slots = new Array<PathNode | undefined>(Math.max(16, this.#slots.length * 4)).fill(undefined);
      for (const one of this.#nodes) this.#link(one);
    } else {
      this.#link(node);
    }
    if (node.text.length >= this.#ends.length) {
      const longer = new Uint8Array(node.text.length + 1);
      longer.set(this.#ends);
      this.#ends = longer;
    }
    this.#ends[node.text.length] = 1;
  }

  #link(node: PathNode): void {
    const slot = spread(node.hash) & (this.#slots.length - 1);
    node.next = this.#slots[slot];
    this.#slots[slot] = node;
  }

  /** @param length of the path without its query */
  visit(path: string, length: number, visitor: PathVisitor): void {
    if (this.#nodes.length === 0) return;
    const ends = this.#ends;
    const last = Math.min(length, ends.length - 1);
    let hash = SEED;
    for (let i = 0; ; i++) {
      if (ends[i] === 1) this.#at(path, i, length, hash, visitor);
      if (i >= last) return;
      hash = step(hash, path.charCodeAt(i));
    }
  }

  #at(path: string, at: number, length: number, hash: number, visitor: PathVisitor): void {
    let node = this.#slots[spread(hash) & (this.#slots.length - 1)];
    for (; node !== undefined; node = node.next) {
      if (node.hash !== hash || node.text.length !== at || !path.startsWith(node.text)) continue;
      if (node.exact.length > 0 && at === length) visitor.visit(node.exact);
      if (node.segments.length > 0 && (at === length || path.charCodeAt(at) === SLASH)) visitor.visit(node.segments);
      if (node.prefix.length > 0) visitor.visit(node.prefix);
      return;
    }
  }
}
