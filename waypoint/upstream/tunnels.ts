// SPDX-License-Identifier: Apache-2.0
// Tunnels to endpoints that speak HBONE, with this proxy's own certificate.
import type { Endpoint } from '#lib/linux/address.ts';
import { errnoName } from '#lib/linux/errno.ts';
import { type DialOptions, tcpDial } from '#lib/linux/socket.ts';
import type { HttpBench } from '#lib/net/http/bench.ts';
import { dialTunnel } from '#lib/net/http/dial-tunnel.ts';
import type { Dialling, DialOutcome } from '#lib/net/http/upstream.ts';
import { TunnelPool, type TunnelTarget } from '#lib/net/pool.ts';
import { Session, type SessionOwner } from '#lib/net/session.ts';
import { TlsTransport } from '#lib/net/tls-transport.ts';
import type { Identities } from '#lib/proxy/worker/identities.ts';
import { REVOKED, type RevocationCheck } from '#lib/proxy/worker/revocation-check.ts';
import { isExpectedServer } from '#lib/tls/peer.ts';
import { HeaderBlock } from '#lib/wire/h2/headers.ts';
import { HBONE_CLIENT } from '#lib/wire/h2/settings.ts';

export interface Far extends TunnelTarget {
  /** Address and HBONE port. */
  readonly endpoint: Endpoint;
  /** SPIFFE URIs of which the peer must prove one. */
  readonly expected: readonly string[];
}

export interface TunnelsOptions {
  readonly bench: HttpBench;
  readonly identities: Identities;
  /** SPIFFE URI of this proxy. */
  readonly identity: string;
  readonly dialOptions: DialOptions;
  readonly connectTimeoutMs: number;
  readonly revocations: Pick<RevocationCheck, 'revoked'>;
}

const STREAMS_PER_TUNNEL = 100;
const IDLE_MS = 3_600_000;
/** Streams of a tunnel are connections of many clients; see the node proxy's worker. */
const LIMITS = { controlBurst: 20_000, controlPerSecond: 20_000, resetBurst: 5_000, resetPerSecond: 5_000 };

export class Tunnels {
  readonly pool: TunnelPool<Far>;
  readonly #options: TunnelsOptions;

  constructor(options: TunnelsOptions) {
    this.#options = options;
    this.pool = new TunnelPool<Far>({
      loop: options.bench.loop,
      dial: (target, owner) => this.#dial(target, owner),
      judge: (target, peer) =>
        peer !== null && options.revocations.revoked(peer)
          ? REVOKED
          : peer !== null && isExpectedServer(peer, target.expected)
            ? ''
            : `peer is ${peer?.uri ?? 'nobody'}, expected ${target.expected.join(' or ')}`,
      streamsPerTunnel: STREAMS_PER_TUNNEL,
      idleMs: IDLE_MS,
    });
  }

  /** A connection to `authority` behind `far`. */
  connect(far: Far, authority: string, timeoutMs: number, outcome: DialOutcome): Dialling {
    const request = HeaderBlock.request('CONNECT', '', authority, '').add('x-istio-source', 'waypoint');
    return dialTunnel(this.#options.bench, this.pool, far, request, timeoutMs, outcome);
  }

  #dial(target: Far, owner: SessionOwner): Session | string {
    const { bench, dialOptions, identities, identity } = this.#options;
    const context = identities.context(identity);
    if (context === null) return `no certificate for ${identity}`;
    const fd = tcpDial(target.endpoint, dialOptions);
    if (fd < 0) return `connection failed: ${errnoName(fd)}`;
    return new Session(
      bench,
      'client',
      { ...HBONE_CLIENT, limits: LIMITS },
      owner,
      (transportOwner) => new TlsTransport(bench, fd, context, 'client', transportOwner),
    );
  }
}
