// SPDX-License-Identifier: Apache-2.0
// To another network: a pooled tunnel to that network's gateway, which only carries bytes, and in one stream of it a tunnel of this
// connection alone to the far end. Both ask for the service by its host name, since addresses mean nothing across networks.
//
//   outer CONNECT ─▶ inner TLS ─▶ inner CONNECT ─▶ joined
//
// Who the far end is, its certificate and its answer's baggage tell: no record here needs to know.
import type { Ip } from '#lib/mesh/ip.ts';
import type { DoubleHboneVerdict } from '#lib/mesh/verdict.ts';
import type { Workload } from '#lib/mesh/workload.ts';
import { type NestedOptions, type NestedOwner, NestedTunnel } from '#lib/net/nested-tunnel.ts';
import type { Session } from '#lib/net/session.ts';
import { TunnelStream } from '#lib/net/tunnel-stream.ts';
import { partyOfBaggage } from '#lib/proxy/worker/workload-facts.ts';
import type { PeerIdentity } from '#lib/tls/peer.ts';
import type { HeaderBlock } from '#lib/wire/h2/headers.ts';
import type { H2Stream } from '#lib/wire/h2/stream.ts';
import { connectRequest, HboneStatus } from '#lib/wire/hbone.ts';
import type { ConnectionRecord, ResponseFlag } from '../telemetry/connection.ts';
import type { Attempt, AttemptOwner, Captured } from './attempt.ts';
import { PooledConnect, type PooledConnectOwner } from './pooled-connect.ts';
import { type FarEnd, outboundRecord } from './record.ts';
import { judgeTunnel, type PeerTarget, tunnelFlag } from './tunnel.ts';

export class DoubleAttempt implements Attempt, PooledConnectOwner, NestedOwner {
  readonly #captured: Captured;
  readonly #owner: AttemptOwner;
  readonly #verdict: DoubleHboneVerdict;
  readonly #gateway: PeerTarget;
  #outer: PooledConnect | null = null;
  #inner: NestedTunnel | null = null;
  /** Joined, failed or cancelled: what happens to the inner tunnel is told to nobody. */
  #settled = false;

  /** `ip` is the gateway's. */
  constructor(captured: Captured, owner: AttemptOwner, verdict: DoubleHboneVerdict, ip: Ip) {
    this.#captured = captured;
    this.#owner = owner;
    this.#verdict = verdict;
    const { local, pod } = captured;
    this.#gateway = pod.targets.of(local.uri, verdict.outerIdentities, ip, verdict.target.port).target;
  }

  begin(): void {
    const { pod, ledger } = this.#captured;
    ledger.expect(this.#record(pod.runtime.memory.of(this.#verdict.workload)));
    this.#outer = new PooledConnect(pod, this.#gateway, this.#request(''), this);
    this.#outer.begin();
  }

  cancel(error: string): void {
    this.#settled = true;
    this.#outer?.cancel();
    this.#inner?.cancel(error);
  }

  // === the outer stream ===

  onOpen(outer: Session, stream: H2Stream): void {
    this.#outer = null;
    const { pod, local } = this.#captured;
    const { clientH2, identities, settings } = pod.runtime;
    const context = identities.context(local.uri);
    if (context === null) {
      // It was there for the outer tunnel: gone with the pod.
      outer.h2.resetStream(stream, 0);
      outer.streamGone();
      this.onFailed('IDENTITY_ERROR', `identity error: no certificate for ${local.uri}`, true);
      return;
    }
    const options: NestedOptions = {
      context,
      h2: clientH2,
      request: this.#request(settings.network),
      replyMs: settings.connectReplyMs,
      among: pod.inner,
    };
    this.#inner = new NestedTunnel(outer, stream, options, this);
  }

  onFailed(flag: ResponseFlag, error: string, final: boolean): void {
    this.#outer = null;
    this.#fail(flag, `gateway ${this.#gateway.endpoint}: ${error}`, final ? undefined : this.#verdict.gateway);
  }

  // === the inner tunnel ===

  judge(peer: PeerIdentity | null): string {
    return judgeTunnel(this.#captured.pod.runtime, { expected: this.#verdict.innerIdentities }, peer);
  }

  onConnect(session: Session, stream: H2Stream, headers: HeaderBlock): void {
    const { socket, ledger } = this.#captured;
    this.#settled = true;
    ledger.open(this.#record({ party: partyOfBaggage(headers.all('baggage')), uri: session.peer?.uri ?? '' }));
    this.#owner.onJoined(new TunnelStream(session, stream, socket, ledger));
  }

  onRefused(status: number): void {
    const who = status === HboneStatus.unavailable ? this.#verdict.workload : undefined;
    this.#fail('CONNECT', `http status: ${status}`, who);
  }

  onReset(error: string): void {
    this.#fail('H2_HANDSHAKE_FAILURE', error, this.#verdict.workload);
  }

  onTunnelLost(cause: string): void {
    this.#fail(tunnelFlag(cause), cause, this.#verdict.workload);
  }

  // === inside ===

  #fail(flag: ResponseFlag, error: string, who: Workload | undefined): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#owner.onAttemptFailed(flag, error, who);
  }

  #request(forwardedNetwork: string): HeaderBlock {
    const { local, sourceText, traceparent } = this.#captured;
    const { authority, service } = this.#verdict;
    return connectRequest({
      authority,
      baggage: local.baggage,
      forwardedFor: sourceText,
      forwardedHost: service.hostname,
      traceparent,
      forwardedNetwork,
    });
  }

  #record(farEnd: FarEnd): ConnectionRecord {
    const { authority, service } = this.#verdict;
    return outboundRecord(this.#captured, 'mutual_tls', this.#gateway.endpoint.toString(), authority, farEnd, service);
  }
}
