// SPDX-License-Identifier: Apache-2.0
// What was sent and acknowledged of one type on one stream; the same in both variants of the protocol (xDS protocol, "ACK and NACK
// semantics").
import type { ResourceLog } from './resource-log.ts';
import type { ServerResponse } from './responder.ts';

export type RequestNote =
  | { readonly kind: 'subscribed'; readonly typeUrl: string }
  | { readonly kind: 'unknown-type'; readonly typeUrl: string }
  /** A client tells of itself; `error` is what it says is wrong. */
  | { readonly kind: 'report'; readonly typeUrl: string; readonly error: string | undefined }
  | { readonly kind: 'acked'; readonly typeUrl: string }
  | { readonly kind: 'nacked'; readonly typeUrl: string; readonly error: string }
  | { readonly kind: 'stale'; readonly typeUrl: string };

/** How far one type of one client is, for `syncz`. */
export interface TypeStatus {
  readonly typeUrl: string;
  readonly wildcard: boolean;
  readonly sentNonce: string;
  readonly ackedNonce: string;
  readonly lastError: string;
  /** All that there is has been sent and acknowledged. */
  readonly synced: boolean;
}

/** Of a request, whether it answers a response. */
interface Answer {
  readonly responseNonce: string;
  readonly errorDetail?: { readonly message: string } | undefined;
}

export class Dialogue {
  readonly typeUrl: string;
  /** Up to which the client has been told. */
  generation = 0;
  readonly #log: ResourceLog;
  #sentNonce = '';
  #ackedNonce = '';
  #awaitingAck = false;
  #lastError = '';

  constructor(typeUrl: string, log: ResourceLog) {
    this.typeUrl = typeUrl;
    this.#log = log;
  }

  /** Nothing was sent yet. */
  get fresh(): boolean {
    return this.#sentNonce === '';
  }

  /** There is news, and the client is ready for it. */
  get due(): boolean {
    return !this.#awaitingAck && this.generation !== this.#log.generation;
  }

  sent(response: ServerResponse): ServerResponse {
    this.#sentNonce = response.nonce;
    this.#awaitingAck = true;
    return response;
  }

  hear({ errorDetail, responseNonce }: Answer): RequestNote {
    const { typeUrl } = this;
    if (responseNonce === '') return { kind: 'subscribed', typeUrl };
    // An answer to an older response says nothing; the one to the newest is on its way.
    if (responseNonce !== this.#sentNonce) return { kind: 'stale', typeUrl };
    this.#awaitingAck = false;
    this.#lastError = errorDetail?.message ?? '';
    if (errorDetail !== undefined) return { kind: 'nacked', typeUrl, error: errorDetail.message };
    this.#ackedNonce = responseNonce;
    return { kind: 'acked', typeUrl };
  }

  status(wildcard: boolean): TypeStatus {
    const settled = !this.#awaitingAck && this.#lastError === '';
    return {
      typeUrl: this.typeUrl,
      wildcard,
      sentNonce: this.#sentNonce,
      ackedNonce: this.#ackedNonce,
      lastError: this.#lastError,
      synced: settled && this.generation === this.#log.generation,
    };
  }
}
