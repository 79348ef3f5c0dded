// SPDX-License-Identifier: Apache-2.0
// Whether an object is as it should be: everything wanted is there. What others have added beside it is theirs.

/** Elements of a wanted list may stand anywhere in the live one; an empty map or list asks for nothing. */
export function covers(live: unknown, wanted: unknown): boolean {
  if (Array.isArray(wanted)) {
    if (wanted.length === 0) return true;
    return Array.isArray(live) && wanted.every((item) => live.some((known) => covers(known, item)));
  }
  if (typeof wanted === 'object' && wanted !== null) {
    const entries = Object.entries(wanted).filter(([, value]) => value !== undefined);
    if (entries.length === 0) return true;
    if (typeof live !== 'object' || live === null) return false;
    return entries.every(([key, value]) => covers((live as Record<string, unknown>)[key], value));
  }
  return live === wanted;
}
