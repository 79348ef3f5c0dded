// SPDX-License-Identifier: Apache-2.0
//
// Label selectors as indexes: a selector is filed under one of its pairs, so that a pod finds the few that may select
// it by its own labels, and a changed selector wakes only pods that carry the pair.

import { own } from '#lib/kit/table.ts';

export type Labels = Readonly<Record<string, string>>;

/** Whether every pair of `wanted` is among `labels`. An empty selector selects everything. */
export function selects(wanted: Labels, labels: Labels): boolean {
  for (const key of Object.keys(wanted)) if (own(labels, key) !== wanted[key]) return false;
  return true;
}

const EVERYTHING = '*';

/** The key a selector of `scope` (a namespace) is filed under. */
export function selectorKey(scope: string, wanted: Labels): string {
  const keys = Object.keys(wanted);
  if (keys.length === 0) return `${scope}/${EVERYTHING}`;
  // The most telling pair: the first by name that is not one every pod of a team shares would need statistics.
  const first = keys.reduce((a, b) => (a < b ? a : b));
  return `${scope}/${first}=${wanted[first]}`;
}

/** The keys under which selectors of `scope` that may select an object with `labels` are filed. */
export function candidateKeys(scope: string, labels: Labels): string[] {
  const keys = [`${scope}/${EVERYTHING}`];
  for (const key of Object.keys(labels)) keys.push(`${scope}/${key}=${labels[key]}`);
  return keys;
}
