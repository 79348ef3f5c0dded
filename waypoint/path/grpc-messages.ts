// SPDX-License-Identifier: Apache-2.0
// Messages of one gRPC request in both directions. They are counted when it is over, and every few seconds before while they come, so
// that a long stream is seen while it lasts.
import { MessageCounter } from '#lib/wire/grpc/message-counter.ts';
import type { Exchange } from './exchange.ts';

/** Istio's reporting interval. */
const INTERVAL_MS = 5000;

/** Takes the status of a gRPC request from where it may stand: the head of an answer, or its trailers. */
export function readGrpcStatus(exchange: Exchange, fields: { get(name: string): string | undefined } | null): void {
  if (!exchange.grpc || fields === null) return;
  const text = fields.get('grpc-status');
  if (text !== undefined) exchange.grpcStatus = Number(text);
}

export class GrpcMessages {
  readonly #request = new MessageCounter();
  readonly #response = new MessageCounter();
  #requestTold = 0;
  #responseTold = 0;
  #toldAt = 0;

  requestBytes(exchange: Exchange, bytes: Uint8Array, start: number, end: number): void {
    this.#request.feed(bytes, start, end);
    this.#maybeTell(exchange);
  }

  responseBytes(exchange: Exchange, bytes: Uint8Array, start: number, end: number): void {
    this.#response.feed(bytes, start, end);
    this.#maybeTell(exchange);
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

  #maybeTell(exchange: Exchange): void {
    const { now } = exchange.runtime.loop;
    if (this.#toldAt === 0) this.#toldAt = exchange.begunAt;
    if (now - this.#toldAt < INTERVAL_MS) return;
    this.#toldAt = now;
    exchange.runtime.telemetry.messagesPassed(exchange);
  }
}
