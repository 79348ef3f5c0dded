// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Json } from '../json.ts';
import { checkRules, unreadableRules } from './rules.ts';
import type { Schema, ValidationRule } from './schema.ts';

const withRule = (type: string, rule: string, more: Partial<ValidationRule> = {}): Schema => ({
  type: 'object',
  properties: {
    field: {
      type,
      'x-kubernetes-validations': [{ rule, ...more }],
      items: { type: 'object', properties: { port: { type: 'integer' } } },
    },
  },
});
const messages = (schema: Schema, value: Json, old?: Json): string[] =>
  checkRules(schema, { field: value }, old === undefined ? undefined : { field: old }).map(
    ({ field, message }) => `${field}: ${message}`,
  );

test('a rule is checked where it stands, and says its message', () => {
  const unique = 'self.all(a, self.exists_one(b, a.port == b.port))';
  const schema = withRule('array', unique, { message: 'ports must differ' });
  assert.deepEqual(messages(schema, [{ port: 80 }, { port: 81 }]), []);
  assert.deepEqual(messages(schema, [{ port: 80 }, { port: 80 }]), [
    'field: Invalid value: "array": ports must differ',
  ]);
  const made = withRule('string', 'size(self) < 3', { messageExpression: "'too long: ' + self" });
  assert.deepEqual(messages(made, 'abcd'), ['field: Invalid value: "abcd": too long: abcd']);
});

test('a rule about the old value applies only to updates', () => {
  const schema = withRule('string', 'self == oldSelf', { message: 'immutable' });
  assert.deepEqual(messages(schema, 'a'), []);
  assert.deepEqual(messages(schema, 'a', 'a'), []);
  assert.deepEqual(messages(schema, 'b', 'a'), ['field: Invalid value: "b": immutable']);
});

test('an evaluation that fails refuses, and a rule that cannot be read is told and not enforced', () => {
  assert.match(
    messages(withRule('array', 'self[0].nothing == 1'), [{ port: 1 }])[0] ?? '',
    /rule self\[0\]\.nothing == 1: /,
  );
  const unknown = withRule('string', 'isFancy(self)');
  assert.deepEqual(unreadableRules(unknown), ['.field: isFancy(self)']);
  assert.deepEqual(messages(unknown, 'x'), []);
});
