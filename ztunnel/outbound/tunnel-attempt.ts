// SPDX-License-Identifier: Apache-2.0
// One CONNECT to the endpoint itself or to a waypoint; its 200 joins the application to the stream.
import type { Ip } from '#lib/mesh/ip.ts';
import type { HboneVerdict } from '#lib/mesh/verdict.ts';
import type { Session } from '#lib/net/session.ts';
import { TunnelStream } from '#lib/net/tunnel-stream.ts';
import type { H2Stream } from '#lib/wire/h2/stream.ts';
import { connectRequest } from '#lib/wire/hbone.ts';
import type { ResponseFlag } from '../telemetry/connection.ts';
import type { Attempt, AttemptOwner, Captured } from './attempt.ts';
import { PooledConnect, type PooledConnectOwner } from './pooled-connect.ts';
import { outboundRecord } from './record.ts';

export class TunnelAttempt implements Attempt, PooledConnectOwner {
  readonly #captured: Captured;
  readonly #owner: AttemptOwner;
  readonly #verdict: HboneVerdict;
  readonly #ip: Ip;
  #connect: PooledConnect | null = null;

  constructor(captured: Captured, owner: AttemptOwner, verdict: HboneVerdict, ip: Ip) {
    this.#captured = captured;
    this.#owner = owner;
    this.#verdict = verdict;
    this.#ip = ip;
  }

  begin(): void {
    const { pod, local, ledger, sourceText, traceparent } = this.#captured;
    const { authority, identities, service, target, workload } = this.#verdict;
    const peer = pod.targets.of(local.uri, identities, this.#ip, target.port);
    const farEnd = pod.runtime.memory.of(workload);
    ledger.open(outboundRecord(this.#captured, 'mutual_tls', peer.address, authority, farEnd, service));
    const request = connectRequest({
      authority,
      baggage: local.baggage,
      forwardedFor: sourceText,
      forwardedHost: service?.hostname ?? '',
      traceparent,
      forwardedNetwork: '',
    });
    this.#connect = new PooledConnect(pod, peer.target, request, this);
    this.#connect.begin();
  }

  onOpen(session: Session, stream: H2Stream): void {
    const { socket, ledger } = this.#captured;
    this.#owner.onJoined(new TunnelStream(session, stream, socket, ledger));
  }

  onFailed(flag: ResponseFlag, error: string, final: boolean): void {
    this.#owner.onAttemptFailed(flag, error, final ? undefined : this.#verdict.workload);
  }

  cancel(): void {
    this.#connect?.cancel();
    this.#connect = null;
  }
}
