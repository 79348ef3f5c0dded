// SPDX-License-Identifier: Apache-2.0
//
// What a policy asks of one attribute.

/** Values wanted and values excluded; an empty side is satisfied. */
export interface Condition<T> {
  readonly any: readonly T[];
  readonly none: readonly T[];
}
