// SPDX-License-Identifier: Apache-2.0
//
// Between our own messages and the plain values of lib/mesh/http, by one rule instead of two functions a message:
// names are the same, an enum is the word of its value (ALGORITHM_RING_HASH ↔ 'ring-hash'), an absent message or
// optional is undefined, lists and maps stay. The shapes are held together by a test that walks every descriptor.

import {
  create,
  type DescEnum,
  type DescField,
  type DescMessage,
  type MessageInitShape,
  type MessageShape,
} from '@bufbuild/protobuf';
import type { Problem } from '#lib/kit/result.ts';

type Plain = Readonly<Record<string, unknown>>;

/** The word of each number of an enum, made once. */
const WORDS = new WeakMap<DescEnum, ReadonlyMap<number, string>>();

function wordsOf(desc: DescEnum): ReadonlyMap<number, string> {
  let words = WORDS.get(desc);
  if (words === undefined) {
    const prefix = desc.sharedPrefix?.length ?? 0;
    words = new Map(
      desc.values.map(({ name, number }) => [number, name.slice(prefix).toLowerCase().replaceAll('_', '-')]),
    );
    WORDS.set(desc, words);
  }
  return words;
}

function numberOfWord(desc: DescEnum, word: unknown): number {
  for (const [number, text] of wordsOf(desc)) if (text === word) return number;
  throw new RangeError(`${String(word)} is no value of ${desc.typeName}`);
}

/** Messages that values always have: an absent one is the empty one, as it is on the wire. */
const ALWAYS = new Set(
  ['HttpEntry.match', 'HttpMatch.path', 'NamedMatch.value'].map((name) => `ambit.waypoint.v1.${name}`),
);

/** The plain value of a message. Enum values that are not known here are problems, and read as the first. */
export function toPlain(desc: DescMessage, message: MessageShape<DescMessage>, problems: Problem[], at = ''): Plain {
  const source = message as unknown as Plain;
  const out: Record<string, unknown> = {};
  for (const field of desc.fields) out[field.localName] = plainField(field, source, problems, at);
  return out;
}

function plainField(field: DescField, source: Plain, problems: Problem[], at: string): unknown {
  const value = source[field.localName];
  const path = at === '' ? field.localName : `${at}.${field.localName}`;
  switch (field.fieldKind) {
    case 'scalar':
      return value;
    case 'enum':
      return plainEnum(field.enum, value, problems, path);
    case 'message':
      if (value === undefined && !ALWAYS.has(`${field.parent.typeName}.${field.name}`)) return undefined;
      return toPlain(field.message, (value ?? create(field.message)) as MessageShape<DescMessage>, problems, path);
    case 'map':
      return { ...(value as Plain) };
    case 'list':
      return (value as readonly unknown[]).map((item, i) => {
        if (field.listKind === 'message') {
          return toPlain(field.message, item as MessageShape<DescMessage>, problems, `${path}[${i}]`);
        }
        return field.listKind === 'enum' ? plainEnum(field.enum, item, problems, `${path}[${i}]`) : item;
      });
  }
}

function plainEnum(desc: DescEnum, value: unknown, problems: Problem[], field: string): string {
  const words = wordsOf(desc);
  const word = words.get(value as number);
  if (word === undefined) problems.push({ field, message: `${String(value)} is no value of ${desc.typeName}` });
  return word ?? words.get(0) ?? '';
}

/** The message of a plain value. */
export function fromPlain<D extends DescMessage>(desc: D, value: object): MessageShape<D> {
  return create(desc, initOf(desc, value as Plain) as MessageInitShape<D>);
}

function initOf(desc: DescMessage, source: Plain): Plain {
  const out: Record<string, unknown> = {};
  for (const field of desc.fields) {
    const value = source[field.localName];
    if (value !== undefined) out[field.localName] = initField(field, value);
  }
  return out;
}

function initField(field: DescField, value: unknown): unknown {
  switch (field.fieldKind) {
    case 'scalar':
      return value;
    case 'enum':
      return numberOfWord(field.enum, value);
    case 'message':
      return initOf(field.message, value as Plain);
    case 'map': {
      // In key order: equal values give equal bytes.
      const entries = Object.entries(value as Plain).sort(([a], [b]) => (a < b ? -1 : 1));
      return Object.fromEntries(entries);
    }
    case 'list':
      return (value as readonly unknown[]).map((item) => {
        if (field.listKind === 'message') return initOf(field.message, item as Plain);
        return field.listKind === 'enum' ? numberOfWord(field.enum, item) : item;
      });
  }
}
