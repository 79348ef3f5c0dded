// SPDX-License-Identifier: Apache-2.0
//
// Joins generated service descriptors to a gRPC library. A gRPC library wants, for every method, a path, two
// streaming flags and four functions between message and bytes; the descriptor knows all of it. The shape is
// grpc-js's ServiceDefinition, told structurally, so that this layer depends on the protobuf runtime alone.

import {
  create,
  type DescMessage,
  type DescMethod,
  type DescService,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';

/** One RPC, as grpc-js's `MethodDefinition` has it. Requests may be given as plain initialisers. */
export interface GrpcMethod<I extends DescMessage, O extends DescMessage> {
  /** `/<package>.<Service>/<Method>`. */
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly originalName: string;
  readonly requestSerialize: (value: MessageInitShape<I>) => Buffer;
  readonly requestDeserialize: (bytes: Buffer) => MessageShape<I>;
  readonly responseSerialize: (value: MessageInitShape<O>) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => MessageShape<O>;
}

/** Every method of a service under its local (lower camel case) name. */
export type GrpcService<S extends DescService> = {
  readonly [K in keyof S['method']]: GrpcMethod<S['method'][K]['input'], S['method'][K]['output']>;
};

/**
 * Message to bytes.
 * @param schema the message's descriptor
 * @param value a message, or an initialiser for one
 */
export function serialize<D extends DescMessage>(schema: D, value: MessageInitShape<D>): Buffer {
  const bytes = toBinary(schema, create(schema, value));
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/**
 * Bytes to message. `bytes` fields of the result may share memory with the input.
 * @throws RangeError or Error when the bytes are no such message; gRPC turns that into INTERNAL
 */
export function deserialize<D extends DescMessage>(schema: D, bytes: Uint8Array): MessageShape<D> {
  return fromBinary(schema, bytes);
}

function grpcMethod(service: DescService, method: DescMethod): GrpcMethod<DescMessage, DescMessage> {
  const { input, output, methodKind } = method;
  return {
    path: `/${service.typeName}/${method.name}`,
    requestStream: methodKind === 'client_streaming' || methodKind === 'bidi_streaming',
    responseStream: methodKind === 'server_streaming' || methodKind === 'bidi_streaming',
    originalName: method.localName,
    requestSerialize: (value) => serialize(input, value),
    requestDeserialize: (bytes) => deserialize(input, bytes),
    responseSerialize: (value) => serialize(output, value),
    responseDeserialize: (bytes) => deserialize(output, bytes),
  };
}

/**
 * The definition to hand to grpc-js: `server.addService(grpcService(D), handlers)` or
 * `makeGenericClientConstructor(grpcService(D), name)`.
 */
export function grpcService<S extends DescService>(service: S): GrpcService<S> {
  const methods: Record<string, GrpcMethod<DescMessage, DescMessage>> = {};
  for (const method of service.methods) methods[method.localName] = grpcMethod(service, method);
  return methods as unknown as GrpcService<S>;
}
