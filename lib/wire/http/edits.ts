// SPDX-License-Identifier: Apache-2.0
// What changes in a head on its way through: fields left out, fields added behind the others, path and authority replaced.
import { FieldKind, kindOfName } from '../http1/field-kind.ts';
import { FieldLine } from './field-line.ts';

const NO_NAMES: readonly string[] = [];

export class HeadEdits {
  /** `1 << kind` of well-known fields to leave out. */
  dropKinds = 0;
  /** Lower-case names of others to leave out. */
  drops: readonly string[] = NO_NAMES;
  /** Added, in this order. */
  readonly lines: FieldLine[] = [];
  /** Path and query; null keeps them. */
  path: string | null = null;
  authority: string | null = null;

  /** Replaces every field of that lower-case name. Throws HTTP_FIELD_INVALID, as `add` does. */
  set(name: string, value: string): void {
    this.setLine(FieldLine.of(name, value));
  }

  /** Appends a field. */
  add(name: string, value: string): void {
    this.lines.push(FieldLine.of(name, value));
  }

  /** The same for a field that is written already. */
  setLine(line: FieldLine): void {
    if (line.kind === FieldKind.other) this.remove(line.name);
    else {
      if (this.lines.length > 0) this.#withdraw(line.name);
      this.dropKinds |= 1 << line.kind;
    }
    this.lines.push(line);
  }

  addLine(line: FieldLine): void {
    this.lines.push(line);
  }

  remove(name: string): void {
    this.#withdraw(name);
    const kind = kindOfName(name);
    if (kind !== FieldKind.other) this.dropKinds |= 1 << kind;
    else if (!this.drops.includes(name)) this.drops = [...this.drops, name];
  }

  /** Octets that what is added takes at most. */
  get bound(): number {
    let octets = (this.path?.length ?? 0) + (this.authority?.length ?? 0);
    for (let i = 0; i < this.lines.length; i++) octets += this.lines[i]!.end - this.lines[i]!.start;
    return octets;
  }

  /** What was to be added under that name is not. */
  #withdraw(name: string): void {
    for (let i = this.lines.length - 1; i >= 0; i--) if (this.lines[i]!.name === name) this.lines.splice(i, 1);
  }
}

/** Changes nothing. */
export const NO_EDITS: HeadEdits = new HeadEdits();
