// SPDX-License-Identifier: Apache-2.0
// The dynamic table of RFC 7541 section 2.3.2: first in, first out, bounded by octets. A ring, so that inserting and
// evicting move nothing.
import type { HeaderField } from './field.ts';

/** A dynamic table; entry 0 is the newest. */
export class DynamicTable {
  /** Entries ever inserted: entry ids count from 0, the newest is `inserted - 1`. */
  inserted = 0;
  /** Entries held now. */
  length = 0;
  /** Octets held now, RFC 7541 section 4.1. */
  size = 0;
  /** Octets it may hold. */
  capacity: number;
  #ring: (HeaderField | undefined)[] = [];

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  /** The entry `position` places behind the newest; undefined if there is none. */
  at(position: number): HeaderField | undefined {
    if (position >= this.length) return undefined;
    return this.#ring[(this.inserted - 1 - position) & (this.#ring.length - 1)];
  }

  /** The entry of that id, if it is still held. */
  entry(id: number): HeaderField | undefined {
    if (id < this.inserted - this.length) return undefined;
    return this.#ring[id & (this.#ring.length - 1)];
  }

  /** The oldest entry, next to be evicted. */
  oldest(): HeaderField | undefined {
    return this.at(this.length - 1);
  }

  /** Drops the oldest entry. */
  evict(): void {
    const slot = (this.inserted - this.length) & (this.#ring.length - 1);
    this.size -= this.#ring[slot]!.size;
    this.#ring[slot] = undefined;
    this.length--;
  }

  /** Adds an entry that fits: the caller has evicted until it does. */
  push(field: HeaderField): void {
    if (this.length === this.#ring.length) this.#grow();
    this.#ring[this.inserted & (this.#ring.length - 1)] = field;
    this.inserted++;
    this.length++;
    this.size += field.size;
  }

  /** Adds an entry, evicting first; one larger than the whole table empties it and is not kept (section 4.4). */
  insert(field: HeaderField): void {
    const { size } = field;
    while (this.length > 0 && this.size + size > this.capacity) this.evict();
    if (size <= this.capacity) this.push(field);
  }

  /** Changes the capacity and evicts what no longer fits. */
  resize(capacity: number): void {
    this.capacity = capacity;
    while (this.size > capacity) this.evict();
  }

  #grow(): void {
    const next: (HeaderField | undefined)[] = new Array(Math.max(8, this.#ring.length * 2)).fill(undefined);
    for (let id = this.inserted - this.length; id < this.inserted; id++)
      next[id & (next.length - 1)] = this.#ring[id & (this.#ring.length - 1)];
    this.#ring = next;
  }
}
