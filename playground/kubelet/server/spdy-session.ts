// SPDX-License-Identifier: Apache-2.0
// The server's end of a SPDY/3.1 connection on any byte pipe: an upgraded TCP connection, or a WebSocket that carries it.
import { dataFrame, pingFrame, rstFrame, SpdyDecoder, type SpdyFrame, synReplyFrame } from './spdy-codec.ts';
import { HeaderCodec, type HeaderPairs } from './spdy-headers.ts';

/** Where the session's bytes go. */
export interface BytePipe {
  write(data: Buffer): void;
  close(): void;
}

export interface StreamListener {
  data(chunk: Buffer): void;
  /** The client will send no more. */
  end(): void;
}

export class SpdyStream {
  readonly id: number;
  readonly headers: HeaderPairs;
  listener: StreamListener = { data: () => undefined, end: () => undefined };
  readonly #pipe: BytePipe;
  #ended = false;

  constructor(id: number, headers: HeaderPairs, pipe: BytePipe) {
    this.id = id;
    this.headers = headers;
    this.#pipe = pipe;
  }

  write(chunk: Buffer): void {
    if (!this.#ended) this.#pipe.write(dataFrame(this.id, chunk, false));
  }

  /** Sends no more on this stream. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#pipe.write(dataFrame(this.id, Buffer.alloc(0), true));
  }

  reset(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#pipe.write(rstFrame(this.id, 5));
  }
}

export class SpdySession {
  readonly #pipe: BytePipe;
  readonly #onStream: (stream: SpdyStream) => void;
  readonly #decoder = new SpdyDecoder();
  readonly #headers = new HeaderCodec();
  readonly #streams = new Map<number, SpdyStream>();
  #queue: Promise<void> = Promise.resolve();
  #closed = false;

  /** `onStream` must set the stream's listener before it returns. */
  constructor(pipe: BytePipe, onStream: (stream: SpdyStream) => void) {
    this.#pipe = pipe;
    this.#onStream = onStream;
  }

  /** Takes bytes of the client. Frames are handled in order, since header blocks depend on each other. */
  receive(chunk: Buffer): void {
    this.#queue = this.#queue
      .then(async () => {
        for (const frame of this.#decoder.write(chunk)) await this.#handle(frame);
      })
      .catch(() => this.close());
  }

  /** Ends every stream; called when the pipe has gone, too. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const stream of this.#streams.values()) stream.listener.end();
    this.#streams.clear();
    this.#headers.close();
    this.#pipe.close();
  }

  async #handle(frame: SpdyFrame): Promise<void> {
    if (this.#closed) return;
    switch (frame.kind) {
      case 'syn-stream': {
        const stream = new SpdyStream(frame.stream, await this.#headers.decode(frame.headers), this.#pipe);
        this.#streams.set(stream.id, stream);
        this.#pipe.write(synReplyFrame(stream.id, await this.#headers.encode(new Map())));
        this.#onStream(stream);
        if (frame.fin) this.#ended(stream.id);
        break;
      }
      case 'headers':
        await this.#headers.decode(frame.headers);
        if (frame.fin) this.#ended(frame.stream);
        break;
      case 'data':
        if (frame.data.length > 0) this.#streams.get(frame.stream)?.listener.data(frame.data);
        if (frame.fin) this.#ended(frame.stream);
        break;
      case 'rst-stream':
        this.#ended(frame.stream);
        break;
      case 'ping':
        this.#pipe.write(pingFrame(frame.id));
        break;
      case 'goaway':
      case 'ignored':
        break;
    }
  }

  #ended(id: number): void {
    this.#streams.get(id)?.listener.end();
    this.#streams.delete(id);
  }
}
