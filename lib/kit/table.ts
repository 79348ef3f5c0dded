// SPDX-License-Identifier: Apache-2.0
//
// Constant tables that are asked with names from outside, where `constructor` and `toString` are names like any other.

/** The rows as a table that knows these names alone: nothing is inherited. */
export function table<T>(rows: Readonly<Record<string, T>>): Readonly<Record<string, T>> {
  return Object.freeze(Object.assign(Object.create(null) as Record<string, T>, rows));
}
