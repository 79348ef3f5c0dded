// SPDX-License-Identifier: Apache-2.0
// What rules change in heads, as edits. A value that HTTP does not allow leaves its field as it is.
import type { HeaderChanges } from '#lib/mesh/http/route-table.ts';
import { isFieldName, isFieldValue } from '#lib/wire/h2/headers.ts';
import type { HeadEdits } from '#lib/wire/http/edits.ts';

export function applyChanges(edits: HeadEdits, changes: readonly HeaderChanges[]): void {
  for (let i = 0; i < changes.length; i++) {
    const { add, remove, set } = changes[i]!;
    for (const { name, value } of set) if (isField(name, value)) edits.set(name, value);
    for (const { name, value } of add) if (isField(name, value)) edits.add(name, value);
    for (const name of remove) edits.remove(name);
  }
}

/** The Host is the authority's business. */
function isField(name: string, value: string): boolean {
  return name !== 'host' && isFieldName(name) && isFieldValue(value);
}
