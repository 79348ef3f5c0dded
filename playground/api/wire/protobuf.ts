// SPDX-License-Identifier: Apache-2.0
// Reads request bodies in Kubernetes' protobuf form, which client-go's typed clients (half of kubectl) send whatever the
// server would like. Answers are JSON; every client takes that. Types come from the schemas, numbers from a table.
// Source: Kubernetes API concepts, "Kubernetes Protobuf encoding": `k8s\0`, then runtime.Unknown.
import { BinaryReader, type WireType } from '@bufbuild/protobuf/wire';
import { isObject, type Json, type JsonObject, setMember } from '../json.ts';
import { deref, type Resolve, type Schema } from '../schema/schema.ts';
import { badRequest } from '../status.ts';
import { FIELD_NUMBERS } from './field-numbers.ts';

export const PROTOBUF = 'application/vnd.kubernetes.protobuf';
const MAGIC = Buffer.from('k8s\0');

interface Member {
  readonly name: string;
  readonly inlined: boolean;
  /** Its zero value means something; of others it means that they are missing. */
  readonly keepsZero: boolean;
}

let table: Map<string, Map<number, Member>> | undefined;
/** The table, read on first use: most servers never see protobuf. */
function membersOf(key: string): Map<number, Member> | undefined {
  table ??= new Map(
    FIELD_NUMBERS.trim()
      .split('\n')
      .map((line) => {
        const [name, ...fields] = line.split(' ');
        return [name!, new Map(fields.map(readMember))];
      }),
  );
  return table.get(key);
}

function readMember(text: string): [number, Member] {
  const [, star, name, number, mark] = /^(\*?)([^:]+):(\d+)(!?)$/.exec(text)!;
  return [Number(number), { name: name!, inlined: star === '*', keepsZero: mark === '!' }];
}

/** The model of a kind: from its type to the name of its schema. */
export type ModelOf = (apiVersion: string, kind: string) => string | undefined;

/** Decodes a body. Throws 400 when it is damaged or of a kind that only speaks JSON. */
export function decodeProtobuf(body: Buffer, modelOf: ModelOf, resolve: Resolve): JsonObject {
  if (!body.subarray(0, MAGIC.length).equals(MAGIC)) throw badRequest('the body is no Kubernetes protobuf');
  let apiVersion = '';
  let kind = '';
  let raw: Uint8Array = new Uint8Array();
  try {
    eachField(body.subarray(MAGIC.length), (number, reader) => {
      if (number === 1)
        eachField(reader.bytes(), (part, inner) => {
          if (part === 1) apiVersion = inner.string();
          else if (part === 2) kind = inner.string();
          else return false;
          return true;
        });
      else if (number === 2) raw = reader.bytes();
      else return false;
      return true;
    });
    const model = modelOf(apiVersion, kind);
    if (!model || !membersOf(model)) throw badRequest(`${apiVersion} ${kind} is not known in protobuf; send JSON`);
    return { apiVersion, kind, ...readMessage(raw, model, resolve(model), resolve) };
  } catch (error) {
    if (
      error instanceof RangeError ||
      error instanceof TypeError ||
      (error instanceof Error && error.constructor === Error)
    )
      throw badRequest(`error decoding the protobuf body: ${error.message}`);
    throw error;
  }
}

/** Calls `take` with each field; what it does not take is skipped. */
function eachField(bytes: Uint8Array, take: (number: number, reader: BinaryReader, wire: WireType) => boolean): void {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [number, wire] = reader.tag();
    if (!take(number, reader, wire)) reader.skip(wire, number);
  }
}

function readMessage(bytes: Uint8Array, key: string, schema: Schema, resolve: Resolve): JsonObject {
  const members = membersOf(key);
  const result: JsonObject = {};
  eachField(bytes, (number, reader) => {
    const member = members?.get(number);
    if (!member) return false;
    if (member.inlined) {
      Object.assign(result, readMessage(reader.bytes(), `${key}.${member.name}`, schema, resolve));
      return true;
    }
    const property = schema.properties?.[member.name];
    if (!property) return false;
    const value = readField(reader, property, result[member.name], resolve);
    if (member.keepsZero || !isZero(value)) setMember(result, member.name, value);
    return true;
  });
  return result;
}

const isZero = (value: Json): boolean =>
  value === '' ||
  value === 0 ||
  value === false ||
  value === null ||
  (isObject(value) && Object.keys(value).length === 0);

function readField(reader: BinaryReader, schema: Schema, before: Json | undefined, resolve: Resolve): Json {
  if (schema.type === 'array') {
    const item = readField(reader, schema.items ?? {}, undefined, resolve);
    return [...(Array.isArray(before) ? before : []), item];
  }
  const values = schema.additionalProperties;
  if (typeof values === 'object') return readEntry(reader.bytes(), values, isObject(before) ? before : {}, resolve);
  if (schema.ref !== undefined && schema.ref !== 'V1MicroTime')
    return readMessage(reader.bytes(), schema.ref, deref(schema, resolve), resolve);
  return readScalar(reader, schema);
}

function readScalar(reader: BinaryReader, schema: Schema): Json {
  if (schema['x-kubernetes-int-or-string']) return readIntOrString(reader.bytes());
  if (schema['x-kubernetes-preserve-unknown-fields']) return readRaw(reader.bytes());
  switch (schema.type) {
    case 'integer':
      return Number(reader.int64());
    case 'number':
      return reader.double();
    case 'boolean':
      return reader.bool();
    default:
      if (schema.format === 'date-time') return readTime(reader.bytes());
      if (schema.format === 'quantity') return readText(reader.bytes());
      return schema.format === 'byte' ? Buffer.from(reader.bytes()).toString('base64') : reader.string();
  }
}

/** One entry of a map; a value of `{items}` (ExtraValue) is a list in JSON. */
function readEntry(bytes: Uint8Array, schema: Schema, into: JsonObject, resolve: Resolve): JsonObject {
  let key = '';
  let value: Json | undefined;
  eachField(bytes, (number, reader) => {
    if (number === 1) key = reader.string();
    else if (number === 2)
      value = schema.type === 'array' ? readList(reader.bytes()) : readField(reader, schema, undefined, resolve);
    else return false;
    return true;
  });
  setMember(into, key, value ?? (schema.type === 'array' ? [] : ''));
  return into;
}

function readList(bytes: Uint8Array): string[] {
  const items: string[] = [];
  eachField(bytes, (number, reader) => number === 1 && items.push(reader.string()) > 0);
  return items;
}

/** A Time: seconds and nanoseconds. */
function readTime(bytes: Uint8Array): Json {
  let seconds = 0;
  let nanos = 0;
  eachField(bytes, (number, reader) => {
    if (number === 1) seconds = Number(reader.int64());
    else if (number === 2) nanos = reader.int32();
    else return false;
    return true;
  });
  if (bytes.length === 0) return null;
  const text = new Date(seconds * 1000).toISOString();
  return nanos === 0
    ? text.replace('.000Z', 'Z')
    : text.replace('.000Z', `.${String(Math.floor(nanos / 1000)).padStart(6, '0')}Z`);
}

/** A message of one string, such as Quantity. */
function readText(bytes: Uint8Array): string {
  let text = '';
  eachField(bytes, (number, reader) => {
    if (number !== 1) return false;
    text = reader.string();
    return true;
  });
  return text;
}

function readIntOrString(bytes: Uint8Array): Json {
  let isText = false;
  let whole = 0;
  let text = '';
  eachField(bytes, (number, reader) => {
    if (number === 1) isText = Number(reader.int64()) === 1;
    else if (number === 2) whole = reader.int32();
    else if (number === 3) text = reader.string();
    else return false;
    return true;
  });
  return isText ? text : whole;
}

/** RawExtension, FieldsV1: JSON inside bytes. */
function readRaw(bytes: Uint8Array): Json {
  const text = readText(bytes);
  return text === '' ? null : (JSON.parse(text) as Json);
}
