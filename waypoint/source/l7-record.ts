// SPDX-License-Identifier: Apache-2.0
// Layer-7 values as they lie in the shared store: JSON, which the engine itself parses; bytes and addresses as marked texts.
import { Cidr, parseCidr } from '#lib/mesh/cidr.ts';

const BYTES = '$bytes';
const RANGE = '$range';

export function encodeValue(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(plain(value)));
}

export function decodeValue<T>(text: string): T {
  const value: unknown = JSON.parse(text);
  // Looking at each value from within the parser takes four times as long as parsing.
  return (text.includes(BYTES) || text.includes(RANGE) ? revived(value) : value) as T;
}

/** A value of JSON with what marks stand for, in its place. */
function revived(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) value[i] = revived(value[i]);
    return value;
  }
  const object = value as Record<string, unknown>;
  if (BYTES in object) return Buffer.from(object[BYTES] as string, 'base64');
  if (RANGE in object) return parseCidr(object[RANGE] as string);
  for (const key of Object.keys(object)) {
    const one = object[key];
    if (typeof one === 'object' && one !== null) object[key] = revived(one);
  }
  return object;
}

/** A copy, where there is something in it that JSON has no form for; else the value itself. */
function plain(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Uint8Array) return { [BYTES]: Buffer.from(value).toString('base64') };
  if (value instanceof Cidr) return { [RANGE]: value.toString() };
  if (Array.isArray(value)) {
    const copy = value.map(plain);
    return copy.some((one, i) => one !== value[i]) ? copy : value;
  }
  let copy: Record<string, unknown> | undefined;
  for (const [key, one] of Object.entries(value)) {
    const other = plain(one);
    if (other === one) continue;
    copy ??= { ...value };
    copy[key] = other;
  }
  return copy ?? value;
}
