// SPDX-License-Identifier: Apache-2.0
//
// The recovered schemas judge random objects exactly as the package's own validators do.

import assert from 'node:assert/strict';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { Ajv } from 'ajv';
import addFormats from 'ajv-formats';
import fc from '#lib/testkit/properties.ts';
import { sourcesOf } from './crds.ts';
import { KINDS } from './kinds.ts';
import { recoverSchema } from './recover.ts';
import type { Schema } from './schema.ts';

const root = join(dirname(import.meta.filename), '..', '..');

const STRINGS = [
  '',
  'a',
  'ALLOW',
  'STRICT',
  'x.example',
  'example.com/x',
  '10s',
  '2026-01-01T00:00:00Z',
  'UPPER case',
  'a'.repeat(400),
];

/** Values near what the schema asks for: mostly right, sometimes of a wrong type, size or shape. */
function near(schema: Schema, depth: number): fc.Arbitrary<unknown> {
  const wrong = fc.constantFrom<unknown>('text', 7, -1, true, [], {}, 1.5);
  return fc.oneof({ weight: 20, arbitrary: fitting(schema, depth) }, { weight: 1, arbitrary: wrong });
}

function fitting(schema: Schema, depth: number): fc.Arbitrary<unknown> {
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum, 'NOT-THIS');
  switch (schema.type) {
    case 'string':
      return fc.oneof(
        { weight: 9, arbitrary: fc.constantFrom(...(goodStrings(schema) ?? STRINGS)) },
        { weight: 1, arbitrary: fc.constantFrom(...STRINGS) },
      );
    case 'integer':
      return fc.constantFrom(0, 1, 80, 65535, 65536, -1, 5_000_000_000);
    case 'number':
      return fc.constantFrom(0, 0.5, 100, -3);
    case 'boolean':
      return fc.boolean();
    case 'array': {
      const item = depth > 5 ? fc.constant({}) : near(schema.items ?? {}, depth + 1);
      return fc.oneof(
        { weight: 9, arbitrary: fc.array(item, { maxLength: 2 }) },
        { weight: 1, arbitrary: fc.array(fc.constant('x'), { minLength: 20, maxLength: 20 }) },
      );
    }
    default:
      return object(schema, depth);
  }
}

function goodStrings({ pattern, minLength = 0, maxLength = 1_000_000 }: Schema): string[] | undefined {
  const form = new RegExp(pattern ?? '', 'u');
  const good = STRINGS.filter((one) => form.test(one) && one.length >= minLength && one.length <= maxLength);
  return good.length === 0 ? undefined : good;
}

function object(schema: Schema, depth: number): fc.Arbitrary<unknown> {
  if (schema.additionalProperties !== undefined) {
    return fc.dictionary(fc.constantFrom('a', 'b', '80'), near(schema.additionalProperties, depth + 1));
  }
  const required = new Set(schema.required ?? []);
  const entries = Object.entries(schema.properties ?? {});
  const chosen = entries.map(([name, child]) => {
    const value = depth > 6 ? fc.constant({}) : near(child, depth + 1);
    return fc.option(value, { nil: undefined, freq: required.has(name) ? 20 : 1 }).map((v) => [name, v] as const);
  });
  return fc.tuple(...chosen).map((pairs) => Object.fromEntries(pairs.filter(([, value]) => value !== undefined)));
}

// Of kinds without a schema there is nothing to recover.
for (const entry of KINDS.filter(({ open }) => open !== true)) {
  test(`${entry.kind}.${entry.group} is recovered as its package validates it`, async () => {
    const version = entry.versions[0]!;
    const { schema: path } = sourcesOf(root, entry, version);
    const theirs = ((await import(pathToFileURL(path).href)) as { validate: (data: unknown) => boolean }).validate;
    const schema = recoverSchema(path);
    const ajv = addFormats.default(new Ajv({ strict: false, allErrors: true }));
    for (const integer of ['int32', 'int64', 'uint32', 'uint64', 'double']) ajv.addFormat(integer, true);
    const ours = ajv.compile(schema);
    const from = entry.sameAs?.[version] ?? version;
    const objects = object(schema, 0).map((value) => ({
      ...(value as object),
      apiVersion: `${entry.group}/${from}`,
      kind: entry.kind,
      metadata: { name: 'x' },
    }));
    let accepted = 0;
    fc.assert(
      fc.property(objects, (value) => {
        const mine = ours(value);
        if (mine) accepted++;
        assert.equal(mine, theirs(value), `${JSON.stringify(value)}\n${JSON.stringify(ours.errors)}`);
      }),
      { numRuns: 150, seed: 7 },
    );
    assert.ok(accepted > 0, 'some random objects are valid, or nothing was compared');
  });
}
