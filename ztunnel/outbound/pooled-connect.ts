// SPDX-License-Identifier: Apache-2.0
// A CONNECT in a pooled tunnel to a peer: certificate, tunnel, request, answer. A tunnel that is lost or drained under the request is
// exchanged for another to the same peer, since nothing has been sent yet; what fails beyond that is the peer's failure.
//
//   certificate ─▶ tunnel ─▶ asked ─▶ open
//                    ▲─────────┘ lost, refused unseen
import { type ConnectOwner, ConnectStream } from '#lib/net/connect-stream.ts';
import type { TunnelWaiter } from '#lib/net/pool.ts';
import type { Session } from '#lib/net/session.ts';
import type { IdentityWaiter } from '#lib/proxy/worker/identities.ts';
import type { HeaderBlock } from '#lib/wire/h2/headers.ts';
import type { H2Stream } from '#lib/wire/h2/stream.ts';
import { HboneStatus } from '#lib/wire/hbone.ts';
import type { Pod } from '../inpod/pod.ts';
import type { ResponseFlag } from '../telemetry/connection.ts';
import { type PeerTarget, tunnelFlag } from './tunnel.ts';

/** Tunnels that may be lost under one request before that counts as the peer's failure. */
const MAX_TUNNELS = 2;

/** Told once, unless it is cancelled. */
export interface PooledConnectOwner {
  /** The stream is open; whoever takes it sets its `userData` before this returns. */
  onOpen(session: Session, stream: H2Stream, headers: HeaderBlock): void;
  /** `final`: another endpoint would not do better. */
  onFailed(flag: ResponseFlag, error: string, final: boolean): void;
}

export class PooledConnect implements ConnectOwner, TunnelWaiter, IdentityWaiter {
  readonly #pod: Pod;
  readonly #target: PeerTarget;
  readonly #request: HeaderBlock;
  readonly #owner: PooledConnectOwner;
  #awaitsTunnel = false;
  #stream: ConnectStream | null = null;
  #lost = 0;
  #over = false;

  constructor(pod: Pod, target: PeerTarget, request: HeaderBlock, owner: PooledConnectOwner) {
    this.#pod = pod;
    this.#target = target;
    this.#request = request;
    this.#owner = owner;
  }

  begin(): void {
    const { identities } = this.#pod.runtime;
    if (identities.context(this.#target.identity) === null) identities.obtain(this.#target.identity, this);
    else this.onIdentity();
  }

  /** Lets go; nobody is told. */
  cancel(): void {
    this.#over = true;
    if (this.#awaitsTunnel) this.#pod.pool.cancel(this.#target, this);
    this.#awaitsTunnel = false;
    this.#stream?.cancel();
    this.#stream = null;
  }

  // === certificate and tunnel ===

  onIdentity(): void {
    if (this.#over) return;
    this.#awaitsTunnel = true;
    this.#pod.pool.acquire(this.#target, this);
  }

  onNoIdentity(reason: string): void {
    this.#fail('IDENTITY_ERROR', `identity error: ${reason}`, true);
  }

  onTunnel(session: Session): void {
    this.#awaitsTunnel = false;
    if (this.#over) return;
    this.#stream = ConnectStream.open(session, this.#request, this, this.#pod.runtime.settings.connectReplyMs);
    if (this.#stream === null) this.#fail('H2_HANDSHAKE_FAILURE', 'tunnel takes no more streams', false);
  }

  onNoTunnel(cause: string): void {
    this.#awaitsTunnel = false;
    this.#fail(tunnelFlag(cause), cause, false);
  }

  // === the stream ===

  onConnect(session: Session, stream: H2Stream, headers: HeaderBlock): void {
    this.#over = true;
    this.#stream = null;
    this.#owner.onOpen(session, stream, headers);
  }

  onRefused(status: number): void {
    // 503: no byte reached an application there, and it will not take any. Everything else is an answer.
    this.#fail('CONNECT', `http status: ${status}`, status !== HboneStatus.unavailable);
  }

  onReset(error: string, untouched: boolean): void {
    if (!untouched || !this.#again()) this.#fail('H2_HANDSHAKE_FAILURE', error, false);
  }

  onTunnelLost(cause: string): void {
    if (!this.#again()) this.#fail(tunnelFlag(cause), cause, false);
  }

  /** Asks for the same peer by another tunnel; false when that was done often enough. */
  #again(): boolean {
    this.#stream = null;
    if (this.#over || this.#pod.closed || this.#pod.draining || ++this.#lost > MAX_TUNNELS) return false;
    this.begin();
    return true;
  }

  #fail(flag: ResponseFlag, error: string, final: boolean): void {
    if (this.#over) return;
    this.#over = true;
    this.#stream = null;
    this.#owner.onFailed(flag, error, final);
  }
}
