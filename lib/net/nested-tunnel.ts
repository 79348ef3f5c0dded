// SPDX-License-Identifier: Apache-2.0
// A tunnel inside one stream of another, for one connection: to another network its gateway only carries bytes, and the far end is
// whoever answers inside.
//
//   inner TLS ─▶ inner CONNECT ─▶ open
//
// The inner tunnel ends with its one stream.
import type { Resumable } from '#lib/loop/loop.ts';
import type { TlsContext } from '#lib/tls/context.ts';
import type { PeerIdentity } from '#lib/tls/peer.ts';
import type { HeaderBlock } from '#lib/wire/h2/headers.ts';
import type { H2Settings } from '#lib/wire/h2/settings.ts';
import type { H2Stream } from '#lib/wire/h2/stream.ts';
import { type ConnectOwner, ConnectStream } from './connect-stream.ts';
import { Session, type SessionOwner } from './session.ts';
import { StreamTransport } from './stream-transport.ts';

/** Told once how the CONNECT went, unless the tunnel is cancelled. */
export interface NestedOwner extends ConnectOwner {
  /** Why the far end is not the one wanted, or ''. */
  judge(peer: PeerIdentity | null): string;
}

export interface NestedOptions {
  /** Of the identity that is shown to the far end. */
  readonly context: TlsContext;
  readonly h2: H2Settings;
  /** The inner CONNECT, to be answered within `replyMs`. */
  readonly request: HeaderBlock;
  readonly replyMs: number;
  /** Inner tunnels that there are: this one is among them from its begin to its end. */
  readonly among: Set<Session>;
}

export class NestedTunnel implements SessionOwner, ConnectOwner, Resumable {
  resumeQueued = false;
  readonly #owner: NestedOwner;
  readonly #options: NestedOptions;
  readonly #session: Session;
  #asked: ConnectStream | null = null;
  #told = false;

  /** Takes over the open `stream` of `outer`. */
  constructor(outer: Session, stream: H2Stream, options: NestedOptions, owner: NestedOwner) {
    this.#owner = owner;
    this.#options = options;
    this.#session = new Session(
      outer.bench,
      'client',
      options.h2,
      this,
      (transportOwner) => new StreamTransport(outer, stream, options.context, 'client', transportOwner),
    );
    options.among.add(this.#session);
  }

  /** Ends it; nobody is told. */
  cancel(cause: string): void {
    if (this.#told) return;
    this.#told = true;
    this.#asked?.cancel();
    this.#session.drop(cause);
  }

  // === the inner tunnel ===

  onPeer(_session: Session, peer: PeerIdentity | null): string {
    return this.#owner.judge(peer);
  }

  onUsable(session: Session): void {
    if (this.#told) return;
    const { replyMs, request } = this.#options;
    this.#asked = ConnectStream.open(session, request, this, replyMs);
    if (this.#asked === null) this.onReset('tunnel takes no streams', false);
  }

  onRequest(session: Session, stream: H2Stream): void {
    session.h2.resetStream(stream, 1);
  }

  onStreamGone(): void {
    // Its one stream is over. Not from here, where frames of it may be half written.
    this.#session.bench.loop.again(this);
  }

  resume(): void {
    if (this.#session.h2.openStreams === 0) this.#session.drain();
  }

  onSessionEnd(session: Session, cause: string): void {
    this.#options.among.delete(session);
    if (this.#tell()) this.#owner.onTunnelLost(cause);
  }

  // === the inner stream ===

  onConnect(session: Session, stream: H2Stream, headers: HeaderBlock): void {
    if (this.#tell()) this.#owner.onConnect(session, stream, headers);
  }

  onRefused(status: number): void {
    if (!this.#tell()) return;
    this.#session.drop(`http status: ${status}`);
    this.#owner.onRefused(status);
  }

  onReset(error: string, untouched: boolean): void {
    if (!this.#tell()) return;
    this.#session.drop(error);
    this.#owner.onReset(error, untouched);
  }

  onTunnelLost(cause: string): void {
    if (this.#tell()) this.#owner.onTunnelLost(cause);
  }

  /** false when it was told already, or nobody wants to hear it. */
  #tell(): boolean {
    if (this.#told) return false;
    this.#told = true;
    this.#asked = null;
    return true;
  }
}
