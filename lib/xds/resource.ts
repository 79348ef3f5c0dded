// SPDX-License-Identifier: Apache-2.0
// A resource as it goes out: encoded once, when it changes, and shared by every client from then on. A response is
// glued together from such pieces, which protobuf allows: a message is the concatenation of its fields.

import { hash } from 'node:crypto';
import { create, toBinary } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { ResourceSchema } from '#lib/proto/gen/discovery_pb.ts';

/** Prefix of type URLs in an Any (google/protobuf/any.proto). */
export const TYPE_PREFIX = 'type.googleapis.com/';
export const ADDRESS_TYPE = `${TYPE_PREFIX}istio.workload.Address`;
export const AUTHORIZATION_TYPE = `${TYPE_PREFIX}istio.security.Authorization`;

/** Field numbers of DeltaDiscoveryResponse. */
const FIELD = { systemVersion: 1, resources: 2, typeUrl: 4, nonce: 5, removed: 6, controlPlane: 7 } as const;

export interface ResourceEntry {
  readonly name: string;
  /** Hash of the content: equal versions are equal resources, also across restarts of the server. */
  readonly version: string;
  /** Field `resources` of a response, tag and length included. */
  readonly field: Uint8Array;
  /** The same with aliases, for clients that asked by one of them. */
  readonly fieldWithAliases: Uint8Array;
}

export interface ResourceInput {
  readonly typeUrl: string;
  readonly name: string;
  /** The message's bytes. */
  readonly value: Uint8Array;
  /** A digest of `value`, when the caller has one. */
  readonly version?: string;
  /** Other names an on-demand client may ask for it by. */
  readonly aliases?: readonly string[];
}

/** Encodes a resource for any number of responses. */
export function makeEntry({ typeUrl, name, value, aliases = [], ...given }: ResourceInput): ResourceEntry {
  const version = given.version ?? hash('sha1', value, 'hex').slice(0, 16);
  const base = { name, version, resource: { typeUrl, value } };
  const field = resourceField(toBinary(ResourceSchema, create(ResourceSchema, base)));
  const fieldWithAliases =
    aliases.length === 0
      ? field
      : resourceField(toBinary(ResourceSchema, create(ResourceSchema, { ...base, aliases: [...aliases] })));
  return { name, version, field, fieldWithAliases };
}

function resourceField(bytes: Uint8Array): Uint8Array {
  return new BinaryWriter().tag(FIELD.resources, WireType.LengthDelimited).bytes(bytes).finish();
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

/** The bytes of a DeltaDiscoveryResponse. */
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
  return Buffer.concat([writer.finish(), ...parts.fields]);
}
