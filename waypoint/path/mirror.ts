// SPDX-License-Identifier: Apache-2.0
// Copies of a request that go elsewhere too. Nobody waits for them: their answers are read and thrown away, and a copy that cannot
// be sent as fast as the request itself ends.
import type { Mirror } from '#lib/mesh/http/route-table.ts';
import { ANY_HOST } from '#lib/mesh/upstream/balancer.ts';
import type { ClientStream, ClientUser, Trailers } from '#lib/net/http/exchange.ts';
import type { ClientWaiter } from '#lib/net/http/upstream.ts';
import type { HeadEdits } from '#lib/wire/http/edits.ts';
import type { MessageHead } from '#lib/wire/http/message.ts';
import type { Member } from '../upstream/member.ts';
import { BodyStore } from './body-store.ts';
import type { ForwardedRequest } from './forwarded-request.ts';

export class Mirroring {
  readonly #copies: Copy[];

  private constructor(copies: Copy[]) {
    this.#copies = copies;
  }

  /** Sends copies of the request to each mirror that leads somewhere. Its head must have been kept. */
  static begin(exchange: ForwardedRequest, mirrors: readonly Mirror[], edits: HeadEdits): Mirroring {
    const { bodyless, requestEnded, runtime, store, stream, trailers } = exchange;
    const copies: Copy[] = [];
    for (const { backend } of mirrors) {
      if (backend?.target === undefined || backend.invalid !== '') continue;
      const cluster = runtime.clusters.of(backend.target);
      const member = cluster.pick(ANY_HOST);
      if (member === undefined) continue;
      const copy = new Copy(member, stream.head, edits, bodyless);
      copies.push(copy);
      member.upstream(cluster.speaksH2 ? 'h2' : 'h1').acquire(copy);
    }
    const mirroring = new Mirroring(copies);
    // What came while a filter had the request wait.
    for (const chunk of store?.chunks ?? []) mirroring.body(chunk, 0, chunk.length);
    if (requestEnded) mirroring.end(trailers);
    return mirroring;
  }

  body(bytes: Buffer, start: number, end: number): void {
    for (const copy of this.#copies) copy.body(bytes, start, end);
  }

  end(trailers: Trailers): void {
    for (const copy of this.#copies) copy.end(trailers);
  }
}

class Copy implements ClientUser, ClientWaiter {
  readonly #member: Member;
  readonly #head: MessageHead;
  readonly #edits: HeadEdits;
  readonly #bodyless: boolean;
  readonly #store = new BodyStore();
  #client: ClientStream | null = null;
  #ended = false;
  #trailers: Trailers = null;
  #over = false;

  constructor(member: Member, head: MessageHead, edits: HeadEdits, bodyless: boolean) {
    this.#member = member;
    this.#head = head.copy();
    this.#edits = edits;
    this.#bodyless = bodyless;
    member.count(1);
  }

  body(bytes: Buffer, start: number, end: number): void {
    if (this.#over) return;
    if (this.#client !== null) this.#client.body(null, bytes, start, end);
    else if (this.#store.full) this.#leave();
    else this.#store.add(bytes, start, end);
  }

  end(trailers: Trailers): void {
    this.#ended = true;
    this.#trailers = trailers;
    if (!this.#bodyless) this.#client?.end(trailers);
  }

  onClient(client: ClientStream): void {
    this.#client = client;
    client.send(this, this.#head, this.#edits, this.#bodyless);
    if (this.#client === null) return;
    if (this.#over) {
      client.abort();
      return;
    }
    for (const chunk of this.#store.chunks) client.body(null, chunk, 0, chunk.length);
    this.#store.clear();
    if (this.#ended && !this.#bodyless) client.end(this.#trailers);
  }

  onNoClient(): void {
    this.#leave();
  }

  onInterim(): void {}
  onResponse(): void {}
  onResponseBody(): void {}
  onRequestRoom(): void {}

  onUpgrade(): void {
    this.#client?.abort();
    this.#leave();
  }

  onResponseEnd(): void {
    this.#client = null;
    this.#leave();
  }

  onFailure(): void {
    this.#client = null;
    this.#leave();
  }

  #leave(): void {
    if (this.#over) return;
    this.#over = true;
    this.#store.clear();
    this.#member.count(-1);
  }
}
