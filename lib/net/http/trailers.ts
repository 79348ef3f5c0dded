// SPDX-License-Identifier: Apache-2.0
// Trailers from one version of HTTP to the other. What frames or routes a message may not come late (RFC 9110 section 6.5.1),
// and is left out.
import { HeaderBlock } from '#lib/wire/h2/headers.ts';
import { HeaderField } from '#lib/wire/h2/hpack/field.ts';
import { Http1Head } from '#lib/wire/http1/head.ts';
import type { Trailers } from './exchange.ts';

const NOT_LATE = new Set([
  'connection',
  'content-length',
  'host',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** Names and values. */
export function trailerFields(trailers: Trailers): (readonly [name: string, value: string])[] {
  if (trailers === null) return [];
  const all =
    trailers instanceof Http1Head
      ? Array.from({ length: trailers.fields }, (_, i) => [trailers.name(i), trailers.value(i)] as const)
      : trailers.fields.map(({ name, value }) => [name, value] as const);
  return all.filter(([name]) => !NOT_LATE.has(name));
}

/** The section as HTTP/2 sends it; null if there is nothing to send. */
export function trailerBlock(trailers: Trailers): HeaderBlock | null {
  const fields = trailerFields(trailers);
  if (fields.length === 0) return null;
  const block = new HeaderBlock();
  for (const [name, value] of fields) block.fields.push(new HeaderField(name, value, false));
  return block;
}
