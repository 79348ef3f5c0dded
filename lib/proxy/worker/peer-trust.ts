// SPDX-License-Identifier: Apache-2.0
// The certificates of one data-plane process: its own identities', and which of its peers' hold no more. Main tells of both; what is
// open is looked at again when either changes.
import { describeError } from '#lib/kit/error.ts';
import type { Loop } from '#lib/loop/loop.ts';
import type { TrustMessage } from '../control.ts';
import { Identities, type TlsChoice } from './identities.ts';
import { RevocationCheck } from './revocation-check.ts';
import { type TunnelGroup, TunnelJudge } from './tunnel-judge.ts';

/** Where it is counted and told. */
export interface TrustTelemetry {
  count(name: string, labels: Readonly<Record<string, string>>): void;
  message(level: 'error', message: string, fields: Readonly<Record<string, unknown>>): void;
}

export interface PeerTrustOptions {
  readonly loop: Loop;
  /** Asks the main process for a certificate. */
  readonly want: (identity: string) => void;
  readonly tls?: TlsChoice;
  readonly telemetry: TrustTelemetry;
  /** Open tunnels, by the identity at this end. */
  readonly tunnels: () => Iterable<TunnelGroup>;
}

export class PeerTrust {
  readonly identities: Identities;
  /** By the wall clock, as certificates go, also when somebody sets it. */
  readonly revocations = new RevocationCheck(Date.now);
  readonly #telemetry: TrustTelemetry;
  readonly #judge: TunnelJudge;

  constructor({ loop, telemetry, tls, tunnels, want }: PeerTrustOptions) {
    const { revocations } = this;
    const identities = new Identities(loop, want, tls);
    this.identities = identities;
    this.#telemetry = telemetry;
    this.#judge = new TunnelJudge({
      loop,
      groups: tunnels,
      trusts: (identity, anchor) => identities.trusts(identity, anchor),
      revoked: (peer) => revocations.revoked(peer),
      onRevoked: (reporter) => telemetry.count('istio_crl_policy_rejections_total', { reporter }),
      now: Date.now,
    });
  }

  onMessage(message: TrustMessage): void {
    switch (message.kind) {
      case 'identity':
        this.#put(message);
        return;
      case 'identity-failed':
        this.identities.fail(message.identity, message.reason);
        return;
      case 'identity-gone':
        this.identities.forget(message.identity);
        return;
      case 'revocations':
        this.revocations.put(message.lists.map((list) => Buffer.from(list, 'base64')));
        this.#judge.revocationsChanged();
        return;
    }
  }

  #put({ chain, identity, key, roots }: Extract<TrustMessage, { kind: 'identity' }>): void {
    try {
      this.identities.put(identity, chain, key, roots);
    } catch (error) {
      const reason = describeError(error);
      this.identities.fail(identity, reason);
      this.#telemetry.message('error', 'a delivered certificate is not usable', { identity, error: reason });
      return;
    }
    this.#judge.rootsChanged(identity);
  }
}
