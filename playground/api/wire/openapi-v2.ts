// SPDX-License-Identifier: Apache-2.0
// The OpenAPI v2 document in protobuf, the only form in which client-go's discovery reads it: kubectl asks for it when
// it applies a List. Only what a Kubernetes document holds is written: definitions, and of each what clients look at.
// Source: gnostic's openapi.v2 messages.
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { isObject, type Json, type JsonObject } from '../json.ts';

/** Media types by which clients ask for it, as older and newer ones write them; the last is what they get. */
export const OPENAPI_V2_PROTOBUF = [
  'application/com.github.proto-openapi.spec.v2@v1.0+protobuf',
  'application/com.github.proto-openapi.spec.v2.v1.0+protobuf',
] as const;

const DOCUMENT = { swagger: 1, info: 2, paths: 8, definitions: 9 } as const;
const INFO = { title: 1, version: 2 } as const;
/** Of what has a name and a value, and of a list of such. */
const NAMED = { name: 1, value: 2 } as const;
const ITEMS = 1;
const TEXTS = { $ref: 1, format: 2, title: 3, description: 4, pattern: 13 } as const;
const FLAGS = { exclusiveMaximum: 8, exclusiveMinimum: 10, uniqueItems: 16 } as const;
const DOUBLES = { multipleOf: 6, maximum: 7, minimum: 9 } as const;
const WHOLE = {
  maxLength: 11,
  minLength: 12,
  maxItems: 14,
  minItems: 15,
  maxProperties: 17,
  minProperties: 18,
} as const;
const SCHEMA = {
  ...{ default: 5, required: 19, enum: 20, additionalProperties: 21, type: 22, items: 23, properties: 25 },
  extension: 31,
} as const;
const YAML = 2;

/** @param document as `openApiV2` makes it */
export function encodeOpenApiV2(document: JsonObject): Uint8Array {
  const writer = new BinaryWriter();
  const info = isObject(document['info']) ? document['info'] : {};
  writeText(writer, DOCUMENT.swagger, document['swagger']);
  message(writer, DOCUMENT.info, () => {
    writeText(writer, INFO.title, info['title']);
    writeText(writer, INFO.version, info['version']);
  });
  message(writer, DOCUMENT.paths, () => undefined);
  message(writer, DOCUMENT.definitions, () => writeNamed(writer, document['definitions']));
  return writer.finish();
}

function writeSchema(writer: BinaryWriter, schema: JsonObject): void {
  for (const [key, field] of Object.entries(TEXTS)) writeText(writer, field, schema[key]);
  for (const [key, field] of Object.entries(FLAGS))
    if (schema[key] === true) writer.tag(field, WireType.Varint).bool(true);
  for (const [key, field] of Object.entries(DOUBLES)) {
    const value = schema[key];
    if (typeof value === 'number') writer.tag(field, WireType.Bit64).double(value);
  }
  for (const [key, field] of Object.entries(WHOLE)) {
    const value = schema[key];
    if (typeof value === 'number') writer.tag(field, WireType.Varint).int64(BigInt(Math.trunc(value)));
  }
  if (schema['default'] !== undefined) writeAny(writer, SCHEMA.default, schema['default']);
  for (const name of listOf(schema['required'])) writeText(writer, SCHEMA.required, name);
  for (const value of listOf(schema['enum'])) writeAny(writer, SCHEMA.enum, value);
  const { additionalProperties: more, items, properties, type } = schema;
  if (isObject(more)) message(writer, SCHEMA.additionalProperties, () => writeSub(writer, 1, more));
  else if (typeof more === 'boolean')
    message(writer, SCHEMA.additionalProperties, () => writer.tag(2, WireType.Varint).bool(more));
  if (typeof type === 'string') message(writer, SCHEMA.type, () => writeText(writer, ITEMS, type));
  // Clients refuse an array that says nothing of its items.
  const item = isObject(items) ? items : type === 'array' ? {} : undefined;
  if (item !== undefined) message(writer, SCHEMA.items, () => writeSub(writer, ITEMS, item));
  if (isObject(properties)) message(writer, SCHEMA.properties, () => writeNamed(writer, properties));
  for (const [name, value] of Object.entries(schema)) {
    if (!name.startsWith('x-') || value === undefined) continue;
    message(writer, SCHEMA.extension, () => {
      writeText(writer, NAMED.name, name);
      writeAny(writer, NAMED.value, value);
    });
  }
}

/** Schemas by name. */
function writeNamed(writer: BinaryWriter, schemas: Json | undefined): void {
  for (const [name, schema] of Object.entries(isObject(schemas) ? schemas : {})) {
    if (!isObject(schema)) continue;
    message(writer, ITEMS, () => {
      writeText(writer, NAMED.name, name);
      writeSub(writer, NAMED.value, schema);
    });
  }
}

function writeSub(writer: BinaryWriter, field: number, schema: JsonObject): void {
  message(writer, field, () => writeSchema(writer, schema));
}

/** A value as YAML, which JSON is. */
function writeAny(writer: BinaryWriter, field: number, value: Json): void {
  message(writer, field, () => writeText(writer, YAML, JSON.stringify(value)));
}

function writeText(writer: BinaryWriter, field: number, value: Json | undefined): void {
  if (typeof value === 'string' && value !== '') writer.tag(field, WireType.LengthDelimited).string(value);
}

function message(writer: BinaryWriter, field: number, write: () => void): void {
  writer.tag(field, WireType.LengthDelimited).fork();
  write();
  writer.join();
}

function listOf(value: Json | undefined): readonly Json[] {
  return Array.isArray(value) ? value : [];
}
