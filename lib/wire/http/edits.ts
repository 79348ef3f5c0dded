// SPDX-License-Identifier: Apache-2.0
// What changes in a head on its way through: fields left out, fields added behind the others, path and authority replaced.
import { AmbitError } from '#lib/kit/error.ts';
import { isFieldName, isFieldValue } from '../h2/headers.ts';
import { FieldKind, kindOfName } from '../http1/field-kind.ts';

export class HeadEdits {
  /** `1 << kind` of well-known fields to leave out. */
  dropKinds = 0;
  /** Lower-case names of others to leave out. */
  readonly drops: string[] = [];
  /** Name and value in turn. */
  readonly adds: string[] = [];
  /** Path and query; null keeps them. */
  path: string | null = null;
  authority: string | null = null;

  /** Replaces every field of that lower-case name. Throws HTTP_FIELD_INVALID, as `add` does. */
  set(name: string, value: string): void {
    this.remove(name);
    this.add(name, value);
  }

  /** Appends a field. */
  add(name: string, value: string): void {
    if (!isFieldName(name) || !isFieldValue(value))
      throw new AmbitError('HTTP_FIELD_INVALID', `field ${JSON.stringify(name)} cannot be written`);
    this.adds.push(name, value);
  }

  /** The same for texts of our own, unchecked. */
  put(name: string, value: string): void {
    this.adds.push(name, value);
  }

  remove(name: string): void {
    for (let i = this.adds.length - 2; i >= 0; i -= 2) if (this.adds[i] === name) this.adds.splice(i, 2);
    const kind = kindOfName(name);
    if (kind !== FieldKind.other) this.dropKinds |= 1 << kind;
    else if (!this.drops.includes(name)) this.drops.push(name);
  }

  /** Octets that what is added takes at most. */
  get bound(): number {
    let octets = (this.path?.length ?? 0) + (this.authority?.length ?? 0);
    for (let i = 0; i < this.adds.length; i += 2) octets += this.adds[i]!.length + this.adds[i + 1]!.length + 4;
    return octets;
  }
}

/** Changes nothing. */
export const NO_EDITS: HeadEdits = new HeadEdits();
