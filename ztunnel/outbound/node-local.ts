// SPDX-License-Identifier: Apache-2.0
// Two pods of one node, joined without TLS (design: the same-node path). Both identities are known to this proxy from the namespaces
// the sockets are in, which is what certificates would prove to it; the destination's policies are judged with the source's
// identity, now and whenever they change; then the two sockets are joined in this process. Both ends keep their own books.
import { errnoName } from '#lib/linux/errno.ts';
import { ILLEGAL_PORTS, servedService } from '#lib/mesh/inbound.ts';
import type { Ip } from '#lib/mesh/ip.ts';
import { accessText } from '#lib/mesh/reason.ts';
import type { AccessVerdict, HboneVerdict } from '#lib/mesh/verdict.ts';
import { Dial, type DialOwner } from '#lib/net/dial.ts';
import type { Socket } from '#lib/net/socket.ts';
import { SocketJoin } from '#lib/net/socket-join.ts';
import { type ByteTap, bothTaps } from '#lib/net/tap.ts';
import type { JoinOwner } from '#lib/net/tunnel-stream.ts';
import type { ConnectionInfo } from '../control.ts';
import { Access, type AccessOwner, denialText } from '../inbound/access.ts';
import { dialApplication } from '../inbound/application.ts';
import type { LiveConnection, Pod } from '../inpod/pod.ts';
import { Ledger, type LedgerOwner } from '../worker/ledger.ts';
import { traceIdOf } from '../worker/trace-ids.ts';
import type { Attempt, AttemptOwner, Captured, Joined } from './attempt.ts';
import { outboundRecord } from './record.ts';

export class NodeLocal implements Attempt, Joined, AccessOwner, DialOwner, JoinOwner, LedgerOwner, LiveConnection {
  place = -1;
  readonly #captured: Captured;
  readonly #owner: AttemptOwner;
  readonly #verdict: HboneVerdict;
  readonly #there: Pod;
  readonly #ip: Ip;
  readonly #port: number;
  readonly #inbound: Ledger;
  #access: Access | null = null;
  #dial: Dial | null = null;
  #joined: SocketJoin | null = null;

  /** Whether nothing between these two needs a tunnel. */
  static possible(from: Pod, there: Pod, verdict: HboneVerdict): boolean {
    return (
      from.info.sameNode !== false &&
      there.info.sameNode !== false &&
      !there.draining &&
      verdict.workload.applicationTunnel === undefined &&
      verdict.destination.ip !== undefined &&
      !ILLEGAL_PORTS.includes(verdict.destination.port)
    );
  }

  /** `there` is the destination's pod, and {@link NodeLocal.possible}. */
  constructor(captured: Captured, owner: AttemptOwner, verdict: HboneVerdict, there: Pod) {
    this.#captured = captured;
    this.#owner = owner;
    this.#verdict = verdict;
    this.#there = there;
    this.#ip = verdict.destination.ip!;
    this.#port = verdict.destination.port;
    this.#inbound = new Ledger(there.runtime, 'inbound', true, this);
    there.add(this);
  }

  begin(): void {
    const { source, sourceText, local, traceparent, ledger } = this.#captured;
    const { authority, service, workload } = this.#verdict;
    const { runtime } = this.#there;
    const peer = runtime.memory.of(workload);
    ledger.open(outboundRecord(this.#captured, 'node_local', authority, '', peer, service));
    this.#inbound.open({
      direction: 'inbound',
      traceId: traceIdOf(traceparent),
      security: 'node_local',
      sourceAddress: sourceText,
      source: local.party,
      sourceIdentity: local.uri,
      destinationAddress: this.#ip.withPort(this.#port),
      hboneAddress: '',
      destination: peer.party,
      destinationIdentity: peer.uri,
      service: service ?? servedService(runtime.mesh, peer.workload, this.#port, ''),
    });
    const flow = {
      sourceIp: source.ip,
      identity: local.identity,
      destinationIp: this.#ip,
      destinationPort: this.#port,
    };
    this.#access = new Access(this.#there, peer.workload, flow, this.#inbound, this);
    this.#access.begin();
  }

  onVerdict(verdict: AccessVerdict): void {
    if (this.#inbound.closed) return;
    this.#inbound.judged(verdict);
    if (!verdict.allow) {
      this.#denied(denialText(accessText(verdict)), verdict);
      return;
    }
    const { loop, settings } = this.#there.runtime;
    const fd = dialApplication(this.#there, this.#ip, this.#port, this.#captured.source.ip);
    if (fd < 0) this.onDialFailed(-fd);
    else this.#dial = new Dial(loop, fd, this, settings.connectTimeoutMs);
  }

  onDenied(error: string, verdict?: AccessVerdict): void {
    if (this.#inbound.closed) return;
    this.#inbound.blame(verdict);
    if (this.#joined !== null) this.#joined.kill(error);
    else this.#denied(error, verdict);
  }

  onConnected(socket: Socket): void {
    this.#dial = null;
    this.#joined = new SocketJoin(this.#there.runtime.bench, this.#captured.socket, socket, this);
    this.#owner.onJoined(this);
  }

  onDialFailed(errno: number): void {
    this.#dial = null;
    this.#failed(`connection failed: ${errnoName(errno)}`);
  }

  tap(): ByteTap | null {
    return bothTaps(this.#captured.ledger.tap(), this.#inbound.tap());
  }

  onBytesOut(n: number): void {
    this.#captured.ledger.onBytesOut(n);
    this.#inbound.onBytesOut(n);
  }

  onBytesIn(n: number): void {
    this.#captured.ledger.onBytesIn(n);
    this.#inbound.onBytesIn(n);
  }

  onJoinEnd(error: string): void {
    this.#inbound.onJoinEnd(error);
    this.#captured.ledger.onJoinEnd(error);
  }

  kill(error: string): void {
    if (this.#joined !== null) this.#joined.kill(error);
    else if (!this.#inbound.closed) this.#failed(error);
  }

  cancel(error: string): void {
    this.#inbound.close('-', error);
  }

  info(): ConnectionInfo | null {
    return {
      pod: this.#there.info.uid,
      direction: 'inbound',
      src: this.#captured.sourceText,
      originalDst: null,
      actualDst: this.#ip.withPort(this.#port),
      protocol: 'TCP',
      nodeLocal: true,
      ageMs: this.#inbound.ageMs,
    };
  }

  onOver(): void {
    this.#access?.end();
    this.#dial?.cancel();
    this.#dial = null;
    this.#there.delete(this);
  }

  #denied(error: string, verdict?: AccessVerdict): void {
    this.#inbound.close('DENY', error, verdict);
    this.#owner.onAttemptFailed('CONNECT', 'http status: 401', undefined);
  }

  #failed(error: string): void {
    this.#inbound.close('CONNECT', error);
    this.#owner.onAttemptFailed('CONNECT', error, this.#verdict.workload);
  }
}
