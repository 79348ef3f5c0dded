// SPDX-License-Identifier: Apache-2.0
// Tunnels to endpoints that speak HBONE, with this proxy's own certificate.
import type { Endpoint } from '#lib/linux/address.ts';
import { errnoName } from '#lib/linux/errno.ts';
import { type DialOptions, tcpDial } from '#lib/linux/socket.ts';
import type { HttpBench } from '#lib/net/http/bench.ts';
import { dialTunnel, type Inside } from '#lib/net/http/dial-tunnel.ts';
import type { Dialling, DialOutcome } from '#lib/net/http/upstream.ts';
import type { NestedOptions } from '#lib/net/nested-tunnel.ts';
import { TunnelPool, type TunnelTarget } from '#lib/net/pool.ts';
import { Session, type SessionOwner } from '#lib/net/session.ts';
import { TlsTransport } from '#lib/net/tls-transport.ts';
import type { Identities } from '#lib/proxy/worker/identities.ts';
import { REVOKED, type RevocationCheck } from '#lib/proxy/worker/revocation-check.ts';
import { TUNNEL_LIMITS } from '#lib/proxy/worker/tunnel-options.ts';
import { isExpectedServer, type PeerIdentity } from '#lib/tls/peer.ts';
import { HeaderBlock } from '#lib/wire/h2/headers.ts';
import { type H2Settings, HBONE_CLIENT } from '#lib/wire/h2/settings.ts';

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
  /** The one that this proxy is on. */
  readonly network: string;
  readonly dialOptions: DialOptions;
  readonly connectTimeoutMs: number;
  readonly revocations: Pick<RevocationCheck, 'revoked'>;
}

const STREAMS_PER_TUNNEL = 100;
const IDLE_MS = 3_600_000;
const CLIENT: H2Settings = { ...HBONE_CLIENT, limits: TUNNEL_LIMITS };

export class Tunnels {
  readonly pool: TunnelPool<Far>;
  /** Those inside others. */
  readonly inner = new Set<Session>();
  readonly #options: TunnelsOptions;

  constructor(options: TunnelsOptions) {
    this.#options = options;
    this.pool = new TunnelPool<Far>({
      loop: options.bench.loop,
      dial: (target, owner) => this.#dial(target, owner),
      judge: ({ expected }, peer) => this.#judge(expected, peer),
      streamsPerTunnel: STREAMS_PER_TUNNEL,
      idleMs: IDLE_MS,
    });
  }

  /** A connection to `authority` behind `far`. */
  connect(far: Far, authority: string, timeoutMs: number, outcome: DialOutcome): Dialling {
    const request = HeaderBlock.request('CONNECT', '', authority, '').add('x-istio-source', 'waypoint');
    return dialTunnel(this.#options.bench, this.pool, far, request, timeoutMs, outcome);
  }

  /** A connection to `far.authority` of another network behind `gateway`, in a tunnel of its own inside the gateway's. */
  connectAcross(
    gateway: Far,
    far: { readonly authority: string; readonly expected: readonly string[] },
    timeoutMs: number,
    outcome: DialOutcome,
  ): Dialling {
    const { bench, identities, identity, network } = this.#options;
    const request = HeaderBlock.request('CONNECT', '', far.authority, '').add('x-istio-source', 'waypoint');
    const options = (replyMs: number): NestedOptions | string => {
      const context = identities.context(identity);
      if (context === null) return `no certificate for ${identity}`;
      const inner = HeaderBlock.request('CONNECT', '', far.authority, '').add('x-forwarded-network', network);
      return { context, h2: CLIENT, request: inner, replyMs, among: this.inner };
    };
    const inside: Inside = { options, judge: (peer) => this.#judge(far.expected, peer) };
    return dialTunnel(bench, this.pool, gateway, request, timeoutMs, outcome, inside);
  }

  #judge(expected: readonly string[], peer: PeerIdentity | null): string {
    if (peer !== null && this.#options.revocations.revoked(peer)) return REVOKED;
    if (peer !== null && isExpectedServer(peer, expected)) return '';
    const wanted = expected.length === 0 ? 'somebody whom no subject name of the service names' : expected.join(' or ');
    return `peer is ${peer?.uri ?? 'nobody'}, expected ${wanted}`;
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
      CLIENT,
      owner,
      (transportOwner) => new TlsTransport(bench, fd, context, 'client', transportOwner),
    );
  }
}
