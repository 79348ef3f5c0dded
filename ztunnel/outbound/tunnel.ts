// SPDX-License-Identifier: Apache-2.0
// A pod's tunnel to a peer: dialled from the pod's own namespace, with the pod's certificate, to whoever is expected there.
import type { Endpoint } from '#lib/linux/address.ts';
import { errnoName } from '#lib/linux/errno.ts';
import { type DialOptions, tcpDial } from '#lib/linux/socket.ts';
import type { TunnelTarget } from '#lib/net/pool.ts';
import { Session, type SessionOwner } from '#lib/net/session.ts';
import { TlsTransport } from '#lib/net/tls-transport.ts';
import { REVOKED } from '#lib/proxy/worker/revocation-check.ts';
import { isExpectedServer, type PeerIdentity } from '#lib/tls/peer.ts';
import type { ResponseFlag } from '../telemetry/connection.ts';
import type { Runtime } from '../worker/runtime.ts';

export interface PeerTarget extends TunnelTarget {
  /** Source identity, whose certificate is shown. */
  readonly identity: string;
  /** SPIFFE URIs of which the peer must prove one. */
  readonly expected: readonly string[];
  readonly endpoint: Endpoint;
}

/** Makes the target; equal parts give equal keys. The pool is one pod's, so its address is no part of the key. */
export function peerTarget(identity: string, expected: readonly string[], endpoint: Endpoint): PeerTarget {
  return { key: `${identity} ${expected.join(' ')} ${endpoint}`, identity, expected, endpoint };
}

/** Starts a tunnel; the certificate must be here. A text says why it was not even begun. */
export function dialTunnel(
  runtime: Runtime,
  options: DialOptions,
  target: PeerTarget,
  owner: SessionOwner,
): Session | string {
  const context = runtime.identities.context(target.identity);
  if (context === null) return `no certificate for ${target.identity}`;
  const fd = tcpDial(target.endpoint, options);
  if (fd < 0) return `connection failed: ${errnoName(fd)}`;
  runtime.telemetry.tunnel(1);
  const counting = new CountedOwner(owner, () => runtime.telemetry.tunnel(-1));
  return new Session(
    runtime.bench,
    'client',
    runtime.clientH2,
    counting,
    (transportOwner) => new TlsTransport(runtime.bench, fd, context, 'client', transportOwner),
  );
}

/** Why the server that answered is not the one wanted, or ''. */
export function judgeTunnel(
  { revocations, telemetry }: Runtime,
  { expected }: Pick<PeerTarget, 'expected'>,
  peer: PeerIdentity | null,
): string {
  if (peer !== null && revocations.revoked(peer)) {
    telemetry.count('istio_crl_policy_rejections_total', { reporter: 'source' });
    return REVOKED;
  }
  if (peer !== null && isExpectedServer(peer, expected)) return '';
  const wanted = expected.length === 0 ? 'somebody whom no subject name of the service names' : expected.join(' or ');
  return `peer is ${peer?.uri ?? 'nobody'}, expected ${wanted}`;
}

/** What metrics call a tunnel that did not come to be for this cause, or was lost under a request. */
export function tunnelFlag(cause: string): ResponseFlag {
  if (cause === REVOKED) return 'CERT_REVOKED';
  if (cause.startsWith('connection timed out')) return 'NETWORK_POLICY';
  return cause.startsWith('HTTP/2') ? 'H2_HANDSHAKE_FAILURE' : 'CONNECT';
}

/** Passes everything on and tells when the tunnel is over. */
class CountedOwner implements SessionOwner {
  readonly #owner: SessionOwner;
  readonly #onEnd: () => void;

  constructor(owner: SessionOwner, onEnd: () => void) {
    this.#owner = owner;
    this.#onEnd = onEnd;
  }

  onPeer(session: Session, peer: PeerIdentity | null): string {
    return this.#owner.onPeer(session, peer);
  }

  onUsable(session: Session): void {
    this.#owner.onUsable(session);
  }

  onRequest(...request: Parameters<SessionOwner['onRequest']>): void {
    this.#owner.onRequest(...request);
  }

  onStreamGone(session: Session): void {
    this.#owner.onStreamGone(session);
  }

  onSessionEnd(session: Session, cause: string): void {
    this.#onEnd();
    this.#owner.onSessionEnd(session, cause);
  }
}
