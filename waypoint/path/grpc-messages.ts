// SPDX-License-Identifier: Apache-2.0
// Messages of one gRPC request in both directions. They are counted when it is over, and every few seconds before while they come, so
// that a long stream is seen while it lasts.
import type { Loop } from '#lib/loop/loop.ts';
import { MessageCounter } from '#lib/wire/grpc/message-counter.ts';

/** A request whose messages are counted, if it is gRPC. */
export interface MessageRequest {
  readonly grpc: boolean;
  /** -1 while there is none. */
  grpcStatus: number;
  /** Monotonic, ms. */
  readonly begunAt: number;
  readonly runtime: { readonly loop: Pick<Loop, 'now'> };
  /** Messages that are not counted yet have waited long enough. */
  countMessages(): void;
}

/** Istio's reporting interval. */
const INTERVAL_MS = 5000;

/** Takes the status of a gRPC request from where it may stand: the head of an answer, or its trailers. */
export function readGrpcStatus(
  request: MessageRequest,
  fields: { get(name: string): string | undefined } | null,
): void {
  if (!request.grpc || fields === null) return;
  const text = fields.get('grpc-status');
  if (text !== undefined) request.grpcStatus = Number(text);
}

export class GrpcMessages {
  readonly #request = new MessageCounter();
  readonly #response = new MessageCounter();
  #requestTold = 0;
  #responseTold = 0;
  #toldAt = 0;

  requestBytes(request: MessageRequest, bytes: Uint8Array, start: number, end: number): void {
    this.#request.feed(bytes, start, end);
    this.#maybeTell(request);
  }

  responseBytes(request: MessageRequest, bytes: Uint8Array, start: number, end: number): void {
    this.#response.feed(bytes, start, end);
    this.#maybeTell(request);
  }

  /** How many have not been counted yet; they are from now on. */
  takeRequests(): number {
    const { count } = this.#request;
    const fresh = count - this.#requestTold;
    this.#requestTold = count;
    return fresh;
  }

  takeResponses(): number {
    const { count } = this.#response;
    const fresh = count - this.#responseTold;
    this.#responseTold = count;
    return fresh;
  }

  #maybeTell(request: MessageRequest): void {
    const { now } = request.runtime.loop;
    if (this.#toldAt === 0) this.#toldAt = request.begunAt;
    if (now - this.#toldAt < INTERVAL_MS) return;
    this.#toldAt = now;
    request.countMessages();
  }
}
