// SPDX-License-Identifier: Apache-2.0
//
// Claims of a verified token in conditions: a claim is text, a number, a truth, or a list of those.

import type { NamedPattern } from './pattern.ts';
import { type Claims, claimAt } from './request.ts';

/** Between the names on the way down to a claim. */
export const CLAIM_SEPARATOR = '\u0000';

/** The texts a claim stands for, empty when it is absent or an object. */
export function claimTexts(claims: Claims | undefined, name: string): readonly string[] {
  if (claims === undefined) return [];
  const value = claimAt(claims, name.split(CLAIM_SEPARATOR));
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  return list.flatMap((one) =>
    typeof one === 'string' ? [one] : typeof one === 'number' || typeof one === 'boolean' ? [String(one)] : [],
  );
}

export function claimHolds(claims: Claims | undefined, { name, pattern }: NamedPattern): boolean {
  for (const text of claimTexts(claims, name)) if (pattern.test(text)) return true;
  return false;
}
