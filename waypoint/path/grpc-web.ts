// SPDX-License-Identifier: Apache-2.0
// A gRPC-Web client at a port of gRPC: to the exchange its request is one of gRPC, and so is the answer; this stands between the
// exchange and the client's connection and translates content and trailers as they pass. Policies and routes therefore see the
// content type that the server will.
import type { Arena } from '#lib/linux/arena.ts';
import type { HttpBench } from '#lib/net/http/bench.ts';
import type { ServerStream, ServerUser, Trailers } from '#lib/net/http/exchange.ts';
import { trailerFields } from '#lib/net/http/trailers.ts';
import { Base64Stream, trailerFrame, type WebContentType, webContentType } from '#lib/wire/grpc/web.ts';
import { HeadEdits } from '#lib/wire/http/edits.ts';
import { MessageHead } from '#lib/wire/http/message.ts';
import { toHttp2Request, toHttp2Response } from '#lib/wire/http/to-http2.ts';
import { FieldKind } from '#lib/wire/http1/field-kind.ts';
import type { Exchange } from './exchange.ts';
import type { Refusal } from './filter.ts';

const BAD_BASE64: Refusal = {
  kind: 'refuse',
  reply: { status: 400, body: 'Bad gRPC-web request, invalid base64 data.' },
  flags: 'DPE',
  details: 'grpc_web_bad_base64',
};
const GRPC = 'application/grpc';

export class GrpcWebBridge implements ServerStream, ServerUser {
  readonly head: MessageHead;
  readonly #bench: HttpBench;
  readonly #stream: ServerStream;
  /** Text of the request, on its way to octets; null when it came as octets. */
  readonly #text: Base64Stream | null;
  readonly #answersText: boolean;
  #exchange!: Exchange;
  /** The answer is gRPC's, so that its trailers become content. */
  #translates = false;

  /** null when the client speaks anything else. */
  static of(bench: HttpBench, stream: ServerStream): GrpcWebBridge | null {
    const { head } = stream;
    if (!head.has(FieldKind.contentType)) return null;
    const type = webContentType(head.get('content-type') ?? '');
    return type === undefined ? null : new GrpcWebBridge(bench, stream, type);
  }

  private constructor(bench: HttpBench, stream: ServerStream, { text, suffix }: WebContentType) {
    this.#bench = bench;
    this.#stream = stream;
    this.#text = text ? new Base64Stream() : null;
    const { head } = stream;
    const accept = (head.get('accept') ?? '').toLowerCase();
    this.#answersText =
      accept.includes('application/grpc-web-text') || (text && !accept.includes('application/grpc-web'));
    const edits = new HeadEdits();
    edits.set('content-type', GRPC + suffix);
    edits.set('te', 'trailers');
    edits.remove('content-length');
    edits.remove('accept');
    const ends = head.h1 === null ? head.ended : head.h1.contentLength <= 0 && !head.h1.chunked;
    this.head = MessageHead.ofHttp2(toHttp2Request(head, edits, 'http', bench.fields), ends, head.protocol);
  }

  /** `exchange` was made with this as its stream. */
  serve(exchange: Exchange): this {
    this.#exchange = exchange;
    return this;
  }

  // === ServerUser ===

  onRequestBody(arena: Arena | null, bytes: Buffer, start: number, end: number): void {
    if (this.#text === null) {
      this.#exchange.onRequestBody(arena, bytes, start, end);
      return;
    }
    const octets = this.#text.decode(bytes, start, end);
    if (octets === undefined) this.#refuse();
    else if (octets.length > 0) this.#exchange.onRequestBody(null, octets, 0, octets.length);
  }

  onRequestEnd(): void {
    if (this.#text?.incomplete === true) this.#refuse();
    else this.#exchange.onRequestEnd(null);
  }

  onResponseRoom(): void {
    this.#exchange.onResponseRoom();
  }

  onClientGone(cause: string): void {
    this.#exchange.onClientGone(cause);
  }

  // === ServerStream ===

  get received(): number {
    return this.#stream.received;
  }

  get sent(): number {
    return this.#stream.sent;
  }

  get responded(): boolean {
    return this.#stream.responded;
  }

  interim(head: MessageHead): void {
    this.#stream.interim(head);
  }

  respond(head: MessageHead, edits: HeadEdits, ends: boolean): void {
    const type = head.get('content-type') ?? '';
    // Anything else, a page of some server on the way: its status tells the client.
    this.#translates = type.startsWith(GRPC);
    if (this.#translates) {
      edits.set('content-type', `${GRPC}-web${this.#answersText ? '-text' : ''}${type.slice(GRPC.length)}`);
    }
    // Content grows by its trailers: whatever length was told, it is another.
    const whole = !this.#translates || ends || head.contentLength < 0;
    this.#stream.respond(whole ? head : this.#withoutLength(head), edits, ends);
  }

  upgrade(head: MessageHead, edits: HeadEdits): void {
    this.#stream.upgrade(head, edits);
  }

  body(arena: Arena | null, bytes: Buffer, start: number, end: number): boolean {
    if (!this.#translates || !this.#answersText) return this.#stream.body(arena, bytes, start, end);
    return this.#write(bytes.subarray(start, end));
  }

  end(trailers: Trailers): void {
    const fields = this.#translates ? trailerFields(trailers) : [];
    if (fields.length > 0) this.#write(trailerFrame(fields));
    this.#stream.end(this.#translates ? null : trailers);
  }

  abort(): void {
    this.#stream.abort();
  }

  pauseRequest(): void {
    this.#stream.pauseRequest();
  }

  resumeRequest(): void {
    this.#stream.resumeRequest();
  }

  // === inside ===

  #write(octets: Buffer): boolean {
    const content = this.#answersText ? Buffer.from(octets.toString('base64'), 'latin1') : octets;
    return this.#stream.body(null, content, 0, content.length);
  }

  #withoutLength(head: MessageHead): MessageHead {
    const edits = new HeadEdits();
    edits.remove('content-length');
    return MessageHead.ofHttp2(toHttp2Response(head, edits, this.#bench.fields), false);
  }

  #refuse(): void {
    const exchange = this.#exchange;
    if (exchange.over) return;
    if (!exchange.responded) {
      exchange.refuse(BAD_BASE64);
      return;
    }
    this.#stream.abort();
    exchange.onClientGone('its content is no base64');
  }
}
