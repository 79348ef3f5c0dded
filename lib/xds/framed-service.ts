// SPDX-License-Identifier: Apache-2.0
// The service of grpc-js with responses passed through, since they are encoded and framed already.
import type { DescMessage } from '@bufbuild/protobuf';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { AggregatedDiscoveryService } from '#lib/proto/gen/discovery_pb.ts';
import { type GrpcMethod, grpcService } from '#lib/proto/grpc.ts';
import type { AnyRequest } from './conversation.ts';
import { FRAME_PREFIX } from './resource.ts';

export type Call = ServerDuplexStream<AnyRequest, Buffer>;
export type Definition = ReturnType<typeof framedService>;

/** Its calls need {@link passFrames}. */
export function framedService() {
  const { deltaAggregatedResources, streamAggregatedResources } = grpcService(AggregatedDiscoveryService);
  return {
    deltaAggregatedResources: framed(deltaAggregatedResources),
    streamAggregatedResources: framed(streamAggregatedResources),
  };
}

function framed<I extends DescMessage, O extends DescMessage>(method: GrpcMethod<I, O>) {
  return { ...method, responseSerialize: (frame: Buffer): Buffer => frame.subarray(FRAME_PREFIX) };
}

/**
 * Has the transport send frames as they are. It would copy each message behind five bytes of its own, once for each
 * client: 500 clients and 1,000 changes a second are 160 MB/s of such copies, and V8 collects the whole heap each time
 * 64 MB of them have come together. A grpc-js that does it in another way finds the message without its prefix.
 */
export function passFrames(call: Call): void {
  const { call: inner } = call as unknown as { readonly call?: { serializeMessage?: (frame: Buffer) => Buffer } };
  if (typeof inner?.serializeMessage === 'function') inner.serializeMessage = (frame) => frame;
}
