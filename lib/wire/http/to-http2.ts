// SPDX-License-Identifier: Apache-2.0
// Makes a head one of HTTP/2 (RFC 9113 section 8): names in lower case, nothing that is for one connection only.
import { HeaderBlock } from '../h2/headers.ts';
import { HeaderField } from '../h2/hpack/field.ts';
import { FieldKind, kindOfName } from '../http1/field-kind.ts';
import type { HeadEdits } from './edits.ts';
import type { FieldCache } from './field-cache.ts';
import type { MessageHead } from './message.ts';
import { HOP_KINDS } from './to-http1.ts';

const TE_KIND = 1 << FieldKind.te;
const HOST_KIND = 1 << FieldKind.host;

/** A request. `scheme` is told by the proxy, for HTTP/1 does not. */
export function toHttp2Request(head: MessageHead, edits: HeadEdits, scheme: string, cache: FieldCache): HeaderBlock {
  const block = new HeaderBlock();
  block.method = head.method;
  block.scheme = head.h2?.scheme || scheme;
  block.authority = edits.authority ?? head.authority;
  block.path = edits.path ?? head.path;
  fill(block, head, edits, HOST_KIND, cache);
  return block;
}

/** A response, or trailers when its status is 0. */
export function toHttp2Response(head: MessageHead, edits: HeadEdits, cache: FieldCache): HeaderBlock {
  const block = new HeaderBlock();
  block.status = head.status;
  fill(block, head, edits, 0, cache);
  return block;
}

function fill(block: HeaderBlock, head: MessageHead, edits: HeadEdits, dropKinds: number, cache: FieldCache) {
  const drops = edits.dropKinds | HOP_KINDS | dropKinds;
  const { h1, h2 } = head;
  const drop = h1?.hasOptions ? [...edits.drops, ...h1.connectionOptions()] : edits.drops;
  const count = head.count;
  for (let i = 0; i < count; i++) {
    const kind = h1 !== null ? h1.kind(i) : kindOfName(h2!.fields[i]!.name);
    if (kind !== 0 && (drops & (1 << kind)) !== 0) {
      const trailers = 1 << kind === TE_KIND && head.value(i).toLowerCase() === 'trailers';
      if (trailers) block.fields.push(new HeaderField('te', 'trailers', false));
      continue;
    }
    const field = h2 !== null ? h2.fields[i]! : h1!.fieldIn(cache, i);
    if (drop.length === 0 || !drop.includes(field.name)) block.fields.push(field);
  }
  for (let i = 0; i < edits.lines.length; i++) block.fields.push(edits.lines[i]!.fieldIn(cache));
}
