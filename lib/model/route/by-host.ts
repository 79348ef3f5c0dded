// SPDX-License-Identifier: Apache-2.0
//
// Configuration of Istio's kinds is filed under the host names it is for, whole ones and patterns.

import type { Fetch, Index } from '#lib/collections/collection.ts';

/** Items filed under the host itself, then under patterns that cover it, the most specific first. */
export function itemsForHost<T>(byHost: Index<T>, hostname: string, fetch: Fetch): T[] {
  const keys = [hostname];
  for (let dot = hostname.indexOf('.'); dot >= 0; dot = hostname.indexOf('.', dot + 1)) {
    keys.push(`*${hostname.slice(dot)}`);
  }
  return [...keys, '*'].flatMap((key) => fetch.lookup(byHost, key));
}
