// SPDX-License-Identifier: Apache-2.0
//
// Words for a value that came from outside. `String()` calls the value's own `toString`, and a document can hold one.

const MOST = 80;

/** What a message says of any value that JSON or YAML can hold: text as it is, the rest as JSON, at most 80 characters. Never throws. */
export function textOf(value: unknown): string {
  const text = typeof value === 'string' ? value : (json(value) ?? typeof value);
  return text.length > MOST ? `${text.slice(0, MOST - 1)}…` : text;
}

function json(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch {
    // A ring of YAML aliases, or a BigInt.
    return undefined;
  }
}
