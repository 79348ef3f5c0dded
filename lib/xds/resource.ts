// SPDX-License-Identifier: Apache-2.0
// A resource as it goes out: encoded once, when it changes, and shared by every client from then on. A response is
// glued together from such pieces, which protobuf allows: a message is the concatenation of its fields.

import { hash } from 'node:crypto';
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';

/** Prefix of type URLs in an Any (google/protobuf/any.proto). */
export const TYPE_PREFIX = 'type.googleapis.com/';
export const ADDRESS_TYPE = `${TYPE_PREFIX}istio.workload.Address`;
export const AUTHORIZATION_TYPE = `${TYPE_PREFIX}istio.security.Authorization`;
/** What a machine's agent says of its application's health: no error is health. */
export const HEALTH_TYPE = `${TYPE_PREFIX}istio.v1.HealthInformation`;

/** Field numbers of Resource, and of the Any in it. */
const RESOURCE = { version: 1, resource: 2, name: 3, aliases: 4 } as const;
const ANY = { typeUrl: 1, value: 2 } as const;
/** Field numbers of DeltaDiscoveryResponse. */
const FIELD = { systemVersion: 1, resources: 2, typeUrl: 4, nonce: 5, removed: 6, controlPlane: 7 } as const;

export interface ResourceEntry {
  readonly name: string;
  /** Hash of the content: equal versions are equal resources, also across restarts of the server. */
  readonly version: string;
  /** Field `resources` of a response, tag and length included. */
  readonly field: Uint8Array;
  /** Other names an on-demand client may ask for it by. */
  readonly aliases: readonly string[];
}

export interface ResourceInput {
  readonly typeUrl: string;
  readonly name: string;
  /** The message's bytes. */
  readonly value: Uint8Array;
  /** A digest of `value`, when the caller has one. */
  readonly version?: string;
  readonly aliases?: readonly string[];
}

/** Encodes a resource for any number of responses. */
export function makeEntry({ typeUrl, name, value, aliases = [], ...given }: ResourceInput): ResourceEntry {
  const version = given.version ?? hash('sha1', value, 'hex').slice(0, 16);
  const writer = new BinaryWriter();
  writer.tag(FIELD.resources, WireType.LengthDelimited).fork();
  writer.tag(RESOURCE.version, WireType.LengthDelimited).string(version);
  writer.tag(RESOURCE.resource, WireType.LengthDelimited).fork();
  writer.tag(ANY.typeUrl, WireType.LengthDelimited).string(typeUrl);
  writer.tag(ANY.value, WireType.LengthDelimited).bytes(value);
  writer.join();
  writer.tag(RESOURCE.name, WireType.LengthDelimited).string(name);
  writer.join();
  // Copied into Buffer's pool: many small allocations of their own cost several times their content.
  return { name, version, field: Buffer.from(writer.finish()), aliases };
}

/** The field with the resource's aliases, for clients that may have asked by one of them. */
export function fieldWithAliases({ aliases, field }: ResourceEntry): Uint8Array {
  if (aliases.length === 0) return field;
  // A message's fields may stand in any order: they are appended, and the length before them is made anew.
  let at = 1;
  while (field[at]! >= 0x80) at++;
  const writer = new BinaryWriter();
  writer
    .tag(FIELD.resources, WireType.LengthDelimited)
    .fork()
    .raw(field.subarray(at + 1));
  for (const alias of aliases) writer.tag(RESOURCE.aliases, WireType.LengthDelimited).string(alias);
  return writer.join().finish();
}

export interface ResponseParts {
  readonly typeUrl: string;
  readonly nonce: string;
  readonly systemVersion: string;
  /** JSON naming the server instance. */
  readonly controlPlane: string;
  readonly removed: readonly string[];
  /** Pieces made by `makeEntry`. */
  readonly fields: readonly Uint8Array[];
}

/** What gRPC puts before a message: whether it is compressed, and its length (gRPC over HTTP/2, Length-Prefixed-Message). */
export const FRAME_PREFIX = 5;

/** A DeltaDiscoveryResponse as a gRPC frame: {@link FRAME_PREFIX} bytes, then the message. */
export function encodeResponse(parts: ResponseParts): Buffer {
  const writer = new BinaryWriter();
  const text = (field: number, value: string) => writer.tag(field, WireType.LengthDelimited).string(value);
  text(FIELD.systemVersion, parts.systemVersion);
  text(FIELD.typeUrl, parts.typeUrl);
  text(FIELD.nonce, parts.nonce);
  for (const name of parts.removed) text(FIELD.removed, name);
  writer.tag(FIELD.controlPlane, WireType.LengthDelimited).fork();
  text(1, parts.controlPlane);
  writer.join();
  return framed(writer, parts.fields);
}

/** Field numbers of DiscoveryResponse; its resources have the number that the Any has in a Resource. */
const WORLD = { version: 1, typeUrl: 4, nonce: 5, controlPlane: 6 } as const;

export interface WorldParts extends Omit<ResponseParts, 'removed' | 'fields'> {
  readonly entries: readonly ResourceEntry[];
}

/** A DiscoveryResponse, the state of the world, as a gRPC frame. */
export function encodeWorld({ controlPlane, entries, nonce, systemVersion, typeUrl }: WorldParts): Buffer {
  const writer = new BinaryWriter();
  const text = (field: number, value: string) => writer.tag(field, WireType.LengthDelimited).string(value);
  text(WORLD.version, systemVersion);
  text(WORLD.typeUrl, typeUrl);
  text(WORLD.nonce, nonce);
  writer.tag(WORLD.controlPlane, WireType.LengthDelimited).fork();
  text(1, controlPlane);
  writer.join();
  return framed(writer, entries.map(anyField));
}

/** The field `resource` of an entry, tag and length included. */
function anyField({ field }: ResourceEntry): Uint8Array {
  const reader = new BinaryReader(field);
  reader.tag();
  reader.uint32();
  for (;;) {
    const start = reader.pos;
    const [number, type] = reader.tag();
    reader.skip(type);
    if (number === RESOURCE.resource) return field.subarray(start, reader.pos);
  }
}

function framed(writer: BinaryWriter, fields: readonly Uint8Array[]): Buffer {
  const frame = Buffer.concat([Buffer.alloc(FRAME_PREFIX), writer.finish(), ...fields]);
  frame.writeUInt32BE(frame.length - FRAME_PREFIX, 1);
  return frame;
}
