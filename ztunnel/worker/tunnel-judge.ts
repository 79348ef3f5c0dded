// SPDX-License-Identifier: Apache-2.0
// Looks again at the peers of open tunnels (trap 9): a handshake proves who somebody was. When the root that vouched for a peer is no
// longer trusted, the tunnel ends at once. When a peer's certificate has expired, the tunnel takes no more streams and ends with its
// last one: the peer has a newer certificate by then, and its next tunnel shows it; what is open is not cut.
import type { Loop } from '#lib/loop/loop.ts';
import type { TimerTarget } from '#lib/loop/timer-wheel.ts';
import type { Session } from '#lib/net/session.ts';
import { REVOKED } from '#lib/proxy/worker/revocation-check.ts';
import type { PeerIdentity } from '#lib/tls/peer.ts';
import type { Pod } from '../inpod/pod.ts';

/** How often expiry is looked for, in ms. */
const LOOK_MS = 10_000;
const ROOT_GONE = 'the root that vouched for the peer is no longer trusted';

type Judged = Pick<Session, 'role' | 'peer' | 'drain' | 'abort'>;

export interface TunnelJudgeOptions {
  readonly loop: Pick<Loop, 'afterAbout'>;
  readonly pods: () => Iterable<Pick<Pod, 'local' | 'sessions' | 'inner' | 'pool'>>;
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
    for (const pod of this.#options.pods()) {
      if (pod.local()?.uri !== identity) continue;
      pod.pool.dropWhere(doomed, ROOT_GONE);
      for (const session of [...pod.sessions, ...pod.inner]) if (doomed(session)) session.abort(ROOT_GONE);
    }
  }

  /** Revocation lists came: tunnels of peers they name end at once. */
  revocationsChanged(): void {
    const { onRevoked, pods, revoked } = this.#options;
    for (const pod of pods()) {
      pod.pool.dropWhere(({ peer }) => {
        const doomed = peer !== null && revoked(peer);
        if (doomed) onRevoked('source');
        return doomed;
      }, REVOKED);
      for (const session of [...pod.sessions, ...pod.inner]) {
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
    for (const pod of this.#options.pods()) {
      pod.pool.drainWhere(expired);
      for (const session of [...pod.sessions]) if (expired(session)) session.drain();
    }
  }
}
