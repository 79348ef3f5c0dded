// SPDX-License-Identifier: Apache-2.0
// One header field as HPACK tables and header blocks share it: a field that came out of the dynamic table
// is the same object every time, so what was learned about it once (its verdict) is not learned again.

/** RFC 7541 section 4.1: what an entry costs beyond its name and value, octets. */
export const FIELD_OVERHEAD = 32;

/** A header field; name and value are strings of octets (one character, code 0 to 255, per byte on the wire). */
export class HeaderField {
  readonly name: string;
  readonly value: string;
  /** RFC 7541 section 6.2.3: never to be put into a compression table, also by those who pass it on. */
  readonly sensitive: boolean;
  /** What validation found out about this field (lib/wire/h2/validate.ts); 0 until it was asked. */
  verdict = 0;
  /** Number of a field that is shared by many messages (lib/wire/http/field-cache.ts), by which encoders know it; else -1. */
  slot = -1;
  /** Its encoding where that is the same for every connection and time; null if it is not, or not known. */
  encoded: Uint8Array | null = null;

  constructor(name: string, value: string, sensitive: boolean) {
    this.name = name;
    this.value = value;
    this.sensitive = sensitive;
  }

  /** Size in octets as tables and SETTINGS_MAX_HEADER_LIST_SIZE count it. */
  get size(): number {
    return this.name.length + this.value.length + FIELD_OVERHEAD;
  }
}
