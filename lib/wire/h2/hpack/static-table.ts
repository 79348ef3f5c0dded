// SPDX-License-Identifier: Apache-2.0
// The static table of RFC 7541 appendix A, indices 1 to 61.
import { HeaderField } from './field.ts';

const ROWS: readonly (readonly [name: string, value: string])[] = [
  [':authority', ''],
  [':method', 'GET'],
  [':method', 'POST'],
  [':path', '/'],
  [':path', '/index.html'],
  [':scheme', 'http'],
  [':scheme', 'https'],
  [':status', '200'],
  [':status', '204'],
  [':status', '206'],
  [':status', '304'],
  [':status', '400'],
  [':status', '404'],
  [':status', '500'],
  ['accept-charset', ''],
  ['accept-encoding', 'gzip, deflate'],
  ['accept-language', ''],
  ['accept-ranges', ''],
  ['accept', ''],
  ['access-control-allow-origin', ''],
  ['age', ''],
  ['allow', ''],
  ['authorization', ''],
  ['cache-control', ''],
  ['content-disposition', ''],
  ['content-encoding', ''],
  ['content-language', ''],
  ['content-length', ''],
  ['content-location', ''],
  ['content-range', ''],
  ['content-type', ''],
  ['cookie', ''],
  ['date', ''],
  ['etag', ''],
  ['expect', ''],
  ['expires', ''],
  ['from', ''],
  ['host', ''],
  ['if-match', ''],
  ['if-modified-since', ''],
  ['if-none-match', ''],
  ['if-range', ''],
  ['if-unmodified-since', ''],
  ['last-modified', ''],
  ['link', ''],
  ['location', ''],
  ['max-forwards', ''],
  ['proxy-authenticate', ''],
  ['proxy-authorization', ''],
  ['range', ''],
  ['referer', ''],
  ['refresh', ''],
  ['retry-after', ''],
  ['server', ''],
  ['set-cookie', ''],
  ['strict-transport-security', ''],
  ['transfer-encoding', ''],
  ['user-agent', ''],
  ['vary', ''],
  ['via', ''],
  ['www-authenticate', ''],
];

/** Entry `i` of the static table lies at `STATIC_TABLE[i - 1]`. */
export const STATIC_TABLE: readonly HeaderField[] = ROWS.map(([name, value]) => new HeaderField(name, value, false));

/** Number of static entries; dynamic entries start right after. */
export const STATIC_LENGTH = STATIC_TABLE.length;

/** What the static table knows of one name. */
export interface StaticName {
  /** Index of the first entry with this name. */
  readonly index: number;
  /** Index of the entry with this name and that value. */
  readonly values: ReadonlyMap<string, number>;
}

/** Look-up by name, for the encoder. */
export const STATIC_NAMES: ReadonlyMap<string, StaticName> = (() => {
  const names = new Map<string, { index: number; values: Map<string, number> }>();
  ROWS.forEach(([name, value], row) => {
    const known = names.get(name);
    if (known) known.values.set(value, row + 1);
    else names.set(name, { index: row + 1, values: new Map([[value, row + 1]]) });
  });
  return names;
})();
