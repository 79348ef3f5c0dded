// SPDX-License-Identifier: Apache-2.0
// Looks again at the peers of open tunnels (trap 9): a handshake proves who somebody was. When the root that vouched for a peer is no
// longer trusted, the tunnel ends at once. When a peer's certificate has expired, the tunnel takes no more streams and ends with its
// last one: the peer has a newer certificate by then, and its next tunnel shows it; what is open is not cut.
import type { Loop } from '#lib/loop/loop.ts';
import type { TimerTarget } from '#lib/loop/timer-wheel.ts';
import type { Session } from '#lib/net/session.ts';
import type { PeerIdentity } from '#lib/tls/peer.ts';
import { REVOKED } from './revocation-check.ts';

/** How often expiry is looked for, in ms. */
const LOOK_MS = 10_000;
const ROOT_GONE = 'the root that vouched for the peer is no longer trusted';

type Judged = Pick<Session, 'role' | 'peer' | 'drain' | 'abort'>;

/** Tunnels with one identity of ours at this end. */
export interface TunnelGroup {
  local(): { readonly uri: string } | undefined;
  /** Those that others opened. */
  readonly sessions: Iterable<Judged>;
  /** Those inside others. */
  readonly inner: Iterable<Judged>;
  /** Those that we opened. */
  readonly pool: {
    dropWhere(doomed: (session: Judged) => boolean, cause: string): void;
    drainWhere(picked: (session: Judged) => boolean): void;
  };
}

export interface TunnelJudgeOptions {
  readonly loop: Pick<Loop, 'afterAbout'>;
  readonly groups: () => Iterable<TunnelGroup>;
  /** Whether roots that came with `identity` hold the one with this SHA-256. */
  readonly trusts: (identity: string, anchor: string) => boolean;
  /** Whether a revocation list names the peer's certificate or one above it. */
  readonly revoked: (peer: PeerIdentity) => boolean;
  /** A tunnel was ended for that. */
  readonly onRevoked: (reporter: 'source' | 'destination') => void;
  /** Wall clock, ms. */
  readonly now: () => number;
}

export class TunnelJudge implements TimerTarget {
  readonly #options: TunnelJudgeOptions;

  constructor(options: TunnelJudgeOptions) {
    this.#options = options;
    options.loop.afterAbout(LOOK_MS, this);
  }

  /** New roots came with the certificate of `identity`. */
  rootsChanged(identity: string): void {
    const doomed = ({ peer }: Judged): boolean => peer !== null && !this.#options.trusts(identity, peer.anchor);
    for (const group of this.#options.groups()) {
      if (group.local()?.uri !== identity) continue;
      group.pool.dropWhere(doomed, ROOT_GONE);
      for (const session of [...group.sessions, ...group.inner]) if (doomed(session)) session.abort(ROOT_GONE);
    }
  }

  /** Revocation lists came: tunnels of peers they name end at once. */
  revocationsChanged(): void {
    const { groups, onRevoked, revoked } = this.#options;
    for (const group of groups()) {
      group.pool.dropWhere(({ peer }) => {
        const doomed = peer !== null && revoked(peer);
        if (doomed) onRevoked('source');
        return doomed;
      }, REVOKED);
      for (const session of [...group.sessions, ...group.inner]) {
        if (session.peer === null || !revoked(session.peer)) continue;
        onRevoked(session.role === 'server' ? 'destination' : 'source');
        session.abort(REVOKED);
      }
    }
  }

  onTimer(): void {
    this.#options.loop.afterAbout(LOOK_MS, this);
    const now = this.#options.now();
    const expired = ({ peer }: Judged): boolean => peer !== null && peer.notAfter <= now;
    for (const group of this.#options.groups()) {
      group.pool.drainWhere(expired);
      for (const session of [...group.sessions]) if (expired(session)) session.drain();
    }
  }
}
