// SPDX-License-Identifier: Apache-2.0
//
// Tables and maps that are asked with names from outside, where `constructor` and `toString` are names like any other.

/** The rows as a table that knows these names alone: nothing is inherited. */
export function table<T>(rows: Readonly<Record<string, T>>): Readonly<Record<string, T>> {
  return Object.freeze(Object.assign(Object.create(null) as Record<string, T>, rows));
}

/** What a map that came from outside (labels, annotations, data) holds under a name that did too: nothing inherited. */
export function own<T>(map: Readonly<Record<string, T>> | undefined, name: string): T | undefined {
  return map !== undefined && Object.hasOwn(map, name) ? map[name] : undefined;
}
