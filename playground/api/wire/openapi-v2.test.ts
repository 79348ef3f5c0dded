// SPDX-License-Identifier: Apache-2.0
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { TestApi } from '#lib/testkit/api-server.ts';
import { encodeOpenApiV2, OPENAPI_V2_PROTOBUF } from './openapi-v2.ts';

/** Fields of a message by number; what is length-delimited as bytes. */
function fields(bytes: Uint8Array): Map<number, (Uint8Array | number)[]> {
  const reader = new BinaryReader(bytes);
  const found = new Map<number, (Uint8Array | number)[]>();
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    const value =
      type === WireType.LengthDelimited ? reader.bytes() : type === WireType.Bit64 ? reader.double() : reader.uint32();
    found.set(number, [...(found.get(number) ?? []), value]);
  }
  return found;
}

const inside = (message: Map<number, (Uint8Array | number)[]>, field: number, at = 0) => {
  const value = message.get(field)?.[at];
  ok(value instanceof Uint8Array, `field ${field} was expected`);
  return value;
};
const text = (message: Map<number, (Uint8Array | number)[]>, field: number, at = 0) =>
  Buffer.from(inside(message, field, at)).toString();

test('definitions carry their members, references, lists, maps and extensions', () => {
  const definition = {
    ...{ type: 'object', description: 'A thing.', required: ['spec'] },
    properties: {
      spec: { $ref: '#/definitions/other' },
      names: { type: 'array', items: { type: 'string', pattern: '^a' } },
      loose: { type: 'array' },
      labels: { type: 'object', additionalProperties: { type: 'string' } },
      count: { type: 'integer', format: 'int32', default: 3, minimum: 1, maxLength: 300 },
    },
    'x-kubernetes-group-version-kind': [{ group: 'g', kind: 'Thing', version: 'v1' }],
  };
  const info = { title: 'Kubernetes', version: 'v1.35.0' };
  const document = fields(encodeOpenApiV2({ swagger: '2.0', info, paths: {}, definitions: { thing: definition } }));
  equal(text(document, 1), '2.0');
  equal(text(fields(inside(document, 2)), 2), 'v1.35.0');
  const named = fields(inside(fields(inside(document, 9)), 1));
  equal(text(named, 1), 'thing');
  const schema = fields(inside(named, 2));
  deepEqual([text(schema, 4), text(schema, 19), text(fields(inside(schema, 22)), 1)], ['A thing.', 'spec', 'object']);
  const extension = fields(inside(schema, 31));
  equal(text(extension, 1), 'x-kubernetes-group-version-kind');
  deepEqual(JSON.parse(text(fields(inside(extension, 2)), 2)), definition['x-kubernetes-group-version-kind']);
  const members = fields(inside(schema, 25));
  const member = (at: number) => {
    const one = fields(inside(members, 1, at));
    return [text(one, 1), fields(inside(one, 2))] as const;
  };
  const [spec, reference] = member(0);
  deepEqual([spec, text(reference, 1)], ['spec', '#/definitions/other']);
  equal(text(fields(inside(fields(inside(member(1)[1], 23)), 1)), 13), '^a');
  equal(fields(inside(member(2)[1], 23)).get(1)?.length, 1);
  const values = fields(inside(fields(inside(member(3)[1], 21)), 1));
  equal(text(fields(inside(values, 22)), 1), 'string');
  const [, count] = member(4);
  deepEqual(
    [text(count, 2), text(fields(inside(count, 5)), 2), count.get(9), count.get(11)],
    ['int32', '3', [1], [300]],
  );
});

test('every kind that is served is described, in JSON and for clients that read protobuf only', async () => {
  const api = await TestApi.start();
  try {
    const { body, headers } = await api.call('GET', '/openapi/v2');
    match(String(headers['content-type']), /^application\/json/);
    const definitions = Object.values(body['definitions'] as Record<string, Record<string, unknown>>);
    const kinds = definitions.flatMap((one) => (one['x-kubernetes-group-version-kind'] ?? []) as { kind: string }[]);
    ok(
      ['Pod', 'ClusterTrustBundle', 'CustomResourceDefinition'].every((name) =>
        kinds.some(({ kind }) => kind === name),
      ),
    );
    for (const accept of OPENAPI_V2_PROTOBUF) {
      const answer = await api.call('GET', '/openapi/v2', { headers: { accept } });
      equal(answer.headers['content-type'], OPENAPI_V2_PROTOBUF[1]);
      equal(String(answer.body['text']).slice(2, 5), '2.0');
    }
  } finally {
    await api.close();
  }
});
