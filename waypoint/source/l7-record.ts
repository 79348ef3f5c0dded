// SPDX-License-Identifier: Apache-2.0
// Layer-7 values as they lie in the shared store: JSON, which the engine itself parses; bytes and addresses as marked texts.
import { Cidr, parseCidr } from '#lib/mesh/cidr.ts';

const BYTES = '$bytes';
const RANGE = '$range';

export function encodeValue(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(plain(value)));
}

export function decodeValue<T>(text: string): T {
  return JSON.parse(text, (_key, value: unknown) => {
    if (typeof value !== 'object' || value === null) return value;
    if (BYTES in value) return Buffer.from((value as { [BYTES]: string })[BYTES], 'base64');
    if (RANGE in value) return parseCidr((value as { [RANGE]: string })[RANGE]);
    return value;
  }) as T;
}

function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return { [BYTES]: Buffer.from(value).toString('base64') };
  if (value instanceof Cidr) return { [RANGE]: value.toString() };
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, plain(one)]));
}
