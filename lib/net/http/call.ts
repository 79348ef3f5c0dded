// SPDX-License-Identifier: Apache-2.0
// One small request of the proxy's own and its whole answer, for asking somebody something between two events of the loop. Bounded
// in time and size. A kept connection that ends just when it is used is replaced: whoever is asked has not answered.
import type { Arena } from '#lib/linux/arena.ts';
import type { Loop } from '#lib/loop/loop.ts';
import type { TimerId, TimerTarget } from '#lib/loop/timer-wheel.ts';
import type { HeaderBlock } from '#lib/wire/h2/headers.ts';
import { NO_EDITS } from '#lib/wire/http/edits.ts';
import { MessageHead } from '#lib/wire/http/message.ts';
import type { ClientStream, ClientUser, FailureKind, Trailers } from './exchange.ts';
import type { ClientWaiter, Upstream } from './upstream.ts';

/** Names in lower case. */
export interface CallField {
  readonly name: string;
  readonly value: string;
}

export interface CallAnswer {
  readonly status: number;
  readonly fields: readonly CallField[];
  readonly body: Buffer;
  /** First value of a trailer, or of a field of the head where there are no trailers. */
  readonly trailer: (name: string) => string | undefined;
}

/** Hears one of them, once; maybe before `begin` returns. */
export interface CallOwner {
  onAnswer(answer: CallAnswer): void;
  onNoAnswer(cause: string): void;
}

export interface CallOptions {
  readonly loop: Loop;
  readonly head: HeaderBlock;
  /** Its length stands in the head. */
  readonly body: Buffer;
  readonly timeoutMs: number;
  /** Of the answer's content. */
  readonly maxBytes: number;
}

/** Connections that may turn out to have ended before one is given up. */
const STALE_TRIES = 3;

export class Call implements ClientUser, ClientWaiter, TimerTarget {
  readonly #options: CallOptions;
  readonly #owner: CallOwner;
  readonly #head: MessageHead;
  #upstream: Upstream | null = null;
  #client: ClientStream | null = null;
  #stale = 0;
  #timer: TimerId = 0;
  #status = 0;
  #fields: readonly CallField[] = [];
  readonly #parts: Buffer[] = [];
  #bytes = 0;
  #over = false;

  constructor(options: CallOptions, owner: CallOwner) {
    this.#options = options;
    this.#owner = owner;
    this.#head = MessageHead.ofHttp2(options.head, options.body.length === 0);
  }

  begin(upstream: Upstream): void {
    const { loop, timeoutMs } = this.#options;
    this.#upstream = upstream;
    this.#timer = loop.after(timeoutMs, this);
    upstream.acquire(this);
  }

  /** The answer is not wanted any more. */
  cancel(): void {
    if (this.#over) return;
    this.#upstream?.cancel(this);
    this.#client?.abort();
    this.#end();
  }

  // === ClientWaiter ===

  onClient(client: ClientStream): void {
    const { body } = this.#options;
    this.#client = client;
    client.send(this, this.#head, NO_EDITS, body.length === 0);
    if (body.length === 0 || this.#client !== client) return;
    client.body(null, body, 0, body.length);
    if (this.#client === client) client.end(null);
  }

  onNoClient(_kind: FailureKind, cause: string): void {
    this.#fail(cause);
  }

  // === ClientUser ===

  onInterim(): void {}

  onUpgrade(): void {
    this.#client?.abort();
    this.#fail('answered with another protocol');
  }

  onResponse(head: MessageHead): void {
    this.#status = head.status;
    const fields: CallField[] = [];
    for (let i = 0; i < head.count; i++) fields.push({ name: head.name(i), value: head.value(i) });
    this.#fields = fields;
  }

  onResponseBody(_arena: Arena | null, bytes: Buffer, start: number, end: number): void {
    if (this.#over) return;
    this.#bytes += end - start;
    if (this.#bytes <= this.#options.maxBytes) {
      this.#parts.push(Buffer.from(bytes.subarray(start, end)));
      return;
    }
    this.#client?.abort();
    this.#fail(`answered with more than ${this.#options.maxBytes} octets`);
  }

  onResponseEnd(trailers: Trailers): void {
    if (this.#over) return;
    const [status, fields] = [this.#status, this.#fields];
    this.#end();
    const trailer = (name: string): string | undefined =>
      trailers?.get(name) ?? fields.find((field) => field.name === name)?.value;
    this.#owner.onAnswer({ status, fields, body: Buffer.concat(this.#parts), trailer });
  }

  onRequestRoom(): void {}

  onFailure(_kind: FailureKind, cause: string, reused: boolean): void {
    if (this.#over) return;
    this.#client = null;
    if (reused && this.#status === 0 && this.#stale++ < STALE_TRIES) this.#upstream!.acquire(this);
    else this.#fail(cause);
  }

  onTimer(): void {
    this.#timer = 0;
    if (this.#over) return;
    this.#upstream?.cancel(this);
    this.#client?.abort();
    this.#fail(`no answer within ${this.#options.timeoutMs} ms`);
  }

  #fail(cause: string): void {
    if (this.#over) return;
    this.#end();
    this.#owner.onNoAnswer(cause);
  }

  #end(): void {
    this.#over = true;
    this.#client = null;
    if (this.#timer !== 0) this.#options.loop.cancel(this.#timer);
    this.#timer = 0;
  }
}
