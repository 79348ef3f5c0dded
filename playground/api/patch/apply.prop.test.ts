// SPDX-License-Identifier: Apache-2.0
// Properties of server-side apply that hold for any two configurations.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from '#lib/testkit/properties.ts';
import { equal, isObject, type Json, type JsonObject, type KubeObject, listAt } from '../json.ts';
import type { Schema } from '../schema/schema.ts';
import { fromFields, toFields } from './field-set.ts';
import { applyConfiguration, type Writer } from './managed-fields.ts';
import { fieldsOf } from './typed.ts';

const text: Schema = { type: 'string' };
const schema: Schema = {
  type: 'object',
  properties: {
    spec: {
      type: 'object',
      properties: {
        plain: text,
        open: { type: 'object', additionalProperties: text },
        atomic: { type: 'array', items: text },
        set: { type: 'array', items: text, 'x-kubernetes-list-type': 'set' },
        keyed: {
          type: 'array',
          items: {
            type: 'object',
            properties: { name: text, value: text, more: { type: 'object', additionalProperties: text } },
          },
          'x-kubernetes-list-type': 'map',
          'x-kubernetes-list-map-keys': ['name'],
        },
      },
    },
  },
};
const resolve = (): Schema => schema;
const short = fc.constantFrom('a', 'b', 'c');
const more = fc.dictionary(short, short, { maxKeys: 2, noNullPrototype: true });
const spec = fc.record(
  {
    plain: short,
    open: more,
    atomic: fc.array(short, { maxLength: 3 }),
    set: fc.uniqueArray(short, { maxLength: 3 }),
    keyed: fc.uniqueArray(
      fc.record({ name: short, value: short, more }, { requiredKeys: ['name'], noNullPrototype: true }),
      {
        selector: (item) => item.name,
        maxLength: 3,
      },
    ),
  },
  { requiredKeys: [], noNullPrototype: true },
);
const object = (content?: JsonObject): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Thing',
  metadata: { name: 'x' },
  ...(content ? { spec: content } : {}),
});
const writer = (manager: string): Writer => ({
  manager,
  operation: 'Apply',
  subresource: '',
  apiVersion: 'v1',
  time: '2026-01-01T00:00:00Z',
});

function apply(live: KubeObject | undefined, manager: string, content?: JsonObject): KubeObject {
  const result = applyConfiguration(schema, live, object(content), writer(manager), true, resolve);
  assert.ok(result.kind === 'merged');
  return result.object;
}

/** Whether everything `part` says stands in `whole`; sets and keyed lists may hold more. */
function contains(whole: Json | undefined, part: Json, key = ''): boolean {
  if (Array.isArray(part)) {
    if (key === 'atomic' || !Array.isArray(whole))
      return equal(whole, part) || (part.length === 0 && whole === undefined);
    return part.every((item) => whole.some((other) => contains(other, item)));
  }
  if (!isObject(part)) return equal(whole, part);
  const target = isObject(whole) ? whole : {};
  return Object.entries(part).every(([name, value]) => contains(target[name], value ?? null, name));
}

test('applying the same again changes nothing', () => {
  fc.assert(
    fc.property(spec, (content) => {
      const once = apply(undefined, 'one', content);
      assert.deepEqual(apply(once, 'one', content), once);
    }),
  );
});

test('after any two managers applied, the second has all it asked for', () => {
  fc.assert(
    fc.property(spec, spec, (first, second) => {
      const both = apply(apply(undefined, 'one', first), 'two', second);
      assert.ok(contains(both['spec'], second), JSON.stringify(both['spec']));
    }),
  );
});

test('who applies nothing any more takes only their own fields along', () => {
  fc.assert(
    fc.property(spec, spec, (first, second) => {
      const both = apply(apply(undefined, 'one', first), 'two', second);
      const left = apply(both, 'one');
      assert.ok(contains(left['spec'], second), JSON.stringify(left['spec']));
      const managers = listAt(left, 'metadata', 'managedFields').map((entry) => (entry as JsonObject)['manager']);
      assert.ok(!managers.includes('one'), JSON.stringify(managers));
    }),
  );
});

test('a field set survives its JSON form', () => {
  fc.assert(
    fc.property(spec, (content) => {
      const set = toFields(fieldsOf(schema, object(content), resolve));
      assert.deepEqual(toFields(fromFields(set)), set);
    }),
  );
});
