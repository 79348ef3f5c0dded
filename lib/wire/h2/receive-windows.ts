// SPDX-License-Identifier: Apache-2.0
// What we let the peer send. The connection's credit returns as soon as bytes arrive, for a tunnel must be drained for
// the neighbours' sake; a stream's credit returns when its bytes were delivered, so a stopped reader holds its own
// window and nothing else. Credit goes out in batches of a quarter of the window.
import type { FrameWriter } from './frame-writer.ts';
import { INITIAL_WINDOW, MAX_31 } from './protocol.ts';
import type { H2Settings } from './settings.ts';
import type { H2Stream } from './stream.ts';

/** The windows of one connection for what we receive. */
export class ReceiveWindows {
  /** Octets the peer may still send on the connection. */
  window: number = INITIAL_WINDOW;
  /** Window that new streams of the peer begin with: HTTP/2's default until it has acknowledged our SETTINGS. */
  initial: number;
  readonly #writer: FrameWriter;
  readonly #target: number;
  readonly #announced: number;

  constructor(settings: H2Settings, server: boolean, writer: FrameWriter) {
    this.#writer = writer;
    this.#target = Math.max(settings.connectionWindow, INITIAL_WINDOW);
    this.#announced = settings.initialWindowSize;
    // Our SETTINGS travel ahead of streams of our own, but the peer's streams may have started without them.
    this.initial = server ? INITIAL_WINDOW : settings.initialWindowSize;
  }

  /** The peer has acknowledged our SETTINGS: its streams get the window announced there. */
  acknowledge(streams: Iterable<H2Stream>): void {
    const delta = this.#announced - this.initial;
    for (const stream of streams) {
      stream.recvWindow += delta;
      if (stream.recvTarget === this.initial) stream.recvTarget += delta;
    }
    this.initial = this.#announced;
  }

  /** Takes `octets` off the connection's window and returns them once they are worth a frame. */
  received(octets: number): void {
    this.window -= octets;
    if (this.#target - this.window >= this.#target >> 2) this.creditConnection();
  }

  /** Opens the connection's window as far as it should be. */
  creditConnection(): void {
    const credit = this.#target - this.window;
    if (credit <= 0) return;
    this.window += credit;
    this.#writer.windowUpdate(0, credit);
  }

  /** Opens the stream's window as far as its reader has earned. */
  creditStream(stream: H2Stream): void {
    if (stream.remoteEnded || stream.closed) return;
    const credit = stream.recvTarget - stream.undelivered - stream.recvWindow;
    if (credit <= 0 || credit < stream.recvTarget >> 2) return;
    stream.recvWindow += credit;
    this.#writer.windowUpdate(stream.id, credit);
  }

  /** Padding arrives and is consumed in one. */
  padding(stream: H2Stream, octets: number): void {
    stream.recvWindow -= octets;
    this.received(octets);
    this.creditStream(stream);
  }

  /** Changes the window granted on a stream. */
  resize(stream: H2Stream, octets: number): void {
    stream.recvTarget = Math.min(octets, MAX_31);
    this.creditStream(stream);
  }
}
