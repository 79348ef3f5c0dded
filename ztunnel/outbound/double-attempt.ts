// SPDX-License-Identifier: Apache-2.0
// To another network: a pooled tunnel to that network's gateway, which only carries bytes, and in one stream of it a tunnel of this
// connection alone to the far end. Both ask for the service by its host name, since addresses mean nothing across networks.
//
//   outer CONNECT ─▶ inner TLS ─▶ inner CONNECT ─▶ joined
//
// Who the far end is, its certificate and its answer's baggage tell: no record here needs to know.
import type { Resumable } from '#lib/loop/loop.ts';
import type { Ip } from '#lib/mesh/ip.ts';
import type { DoubleHboneVerdict } from '#lib/mesh/verdict.ts';
import type { Workload } from '#lib/mesh/workload.ts';
import { Session, type SessionOwner } from '#lib/net/session.ts';
import { StreamTransport } from '#lib/net/stream-transport.ts';
import { TunnelStream } from '#lib/net/tunnel-stream.ts';
import { partyOfBaggage } from '#lib/proxy/worker/workload-facts.ts';
import type { PeerIdentity } from '#lib/tls/peer.ts';
import type { HeaderBlock } from '#lib/wire/h2/headers.ts';
import type { H2Stream } from '#lib/wire/h2/stream.ts';
import { connectRequest, HboneStatus } from '#lib/wire/hbone.ts';
import type { ConnectionRecord, ResponseFlag } from '../telemetry/connection.ts';
import type { Attempt, AttemptOwner, Captured } from './attempt.ts';
import { type ConnectOwner, ConnectStream } from './connect-stream.ts';
import { PooledConnect, type PooledConnectOwner } from './pooled-connect.ts';
import { type FarEnd, outboundRecord } from './record.ts';
import { judgeTunnel, type PeerTarget, tunnelFlag } from './tunnel.ts';

export class DoubleAttempt implements Attempt, PooledConnectOwner, ConnectOwner, SessionOwner, Resumable {
  resumeQueued = false;
  readonly #captured: Captured;
  readonly #owner: AttemptOwner;
  readonly #verdict: DoubleHboneVerdict;
  readonly #gateway: PeerTarget;
  #outer: PooledConnect | null = null;
  #inner: Session | null = null;
  #asked: ConnectStream | null = null;
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
    this.#asked?.cancel();
    this.#inner?.drop(error);
  }

  // === the outer stream ===

  onOpen(outer: Session, stream: H2Stream): void {
    this.#outer = null;
    const { pod, local } = this.#captured;
    const { bench, clientH2, identities } = pod.runtime;
    const context = identities.context(local.uri);
    if (context === null) {
      // It was there for the outer tunnel: gone with the pod.
      outer.h2.resetStream(stream, 0);
      outer.streamGone();
      this.onFailed('IDENTITY_ERROR', `identity error: no certificate for ${local.uri}`, true);
      return;
    }
    const transport = (owner: ConstructorParameters<typeof StreamTransport>[4]) =>
      new StreamTransport(outer, stream, context, 'client', owner);
    this.#inner = new Session(bench, 'client', clientH2, this, transport);
    pod.inner.add(this.#inner);
  }

  onFailed(flag: ResponseFlag, error: string, final: boolean): void {
    this.#outer = null;
    this.#fail(flag, `gateway ${this.#gateway.endpoint}: ${error}`, final ? undefined : this.#verdict.gateway);
  }

  // === the inner tunnel ===

  onPeer(_session: Session, peer: PeerIdentity | null): string {
    return judgeTunnel(this.#captured.pod.runtime, { expected: this.#verdict.innerIdentities }, peer);
  }

  onUsable(session: Session): void {
    if (this.#settled) return;
    const { settings } = this.#captured.pod.runtime;
    this.#asked = ConnectStream.open(session, this.#request(settings.network), this, settings.connectReplyMs);
    if (this.#asked === null) this.#fail('H2_HANDSHAKE_FAILURE', 'tunnel takes no streams', this.#verdict.workload);
  }

  onRequest(session: Session, stream: H2Stream): void {
    session.h2.resetStream(stream, 1);
  }

  onStreamGone(): void {
    // Its one stream is over. Not from here, where frames of it may be half written.
    this.#captured.pod.runtime.loop.again(this);
  }

  resume(): void {
    if (this.#inner?.h2.openStreams === 0) this.#inner.drain();
  }

  onSessionEnd(session: Session, cause: string): void {
    this.#captured.pod.inner.delete(session);
    this.#inner = null;
    this.#fail(tunnelFlag(cause), cause, this.#verdict.workload);
  }

  // === the inner stream ===

  onConnect(session: Session, stream: H2Stream, headers: HeaderBlock): void {
    const { socket, ledger } = this.#captured;
    this.#settled = true;
    this.#asked = null;
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
    this.#asked = null;
    this.#inner?.drop(error);
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
