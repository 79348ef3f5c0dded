// SPDX-License-Identifier: Apache-2.0
// One CONNECT that came to a pod, from the request to its end. The checks and their answers, in this order (facts of the protocol,
// section 1.7): method and authority 400, local workload 503, destination 400 or 503, policy 401, application 503, then 200. The
// application is connected before the 200, so a tunnel that opens leads somewhere.
import { errnoName } from '#lib/linux/errno.ts';
import { type Authority, resolveInbound, servedService } from '#lib/mesh/inbound.ts';
import { type Ip, parseIp } from '#lib/mesh/ip.ts';
import { NO_PROOF } from '#lib/mesh/proof.ts';
import { accessText, inboundText } from '#lib/mesh/reason.ts';
import type { AccessVerdict, InboundVerdict } from '#lib/mesh/verdict.ts';
import { Dial, type DialOwner } from '#lib/net/dial.ts';
import type { Sender } from '#lib/net/send-queue.ts';
import type { Session, StreamUser } from '#lib/net/session.ts';
import type { Socket } from '#lib/net/socket.ts';
import { TunnelStream } from '#lib/net/tunnel-stream.ts';
import { partyOfBaggage, type WorkloadFacts } from '#lib/proxy/worker/workload-facts.ts';
import type { HeaderBlock } from '#lib/wire/h2/headers.ts';
import { ErrorCode, errorName } from '#lib/wire/h2/protocol.ts';
import type { H2Stream } from '#lib/wire/h2/stream.ts';
import { connectResponse, HboneStatus, parseAuthority, parseForwarded, parseTraceparent } from '#lib/wire/hbone.ts';
import type { ConnectionInfo } from '../control.ts';
import type { LiveConnection, Pod } from '../inpod/pod.ts';
import { Ledger, type LedgerOwner, POLICY_CHANGED } from '../worker/ledger.ts';
import { traceIdOf } from '../worker/trace-ids.ts';
import { Access, type AccessOwner, denialText } from './access.ts';
import { dialApplication } from './application.ts';

type Delivery = Extract<InboundVerdict, { kind: 'deliver' }>;

/** The TCP peer and the pod's address of a tunnel, known once for all its streams. */
export interface TunnelEnds {
  readonly peerIp: Ip;
  readonly localIp: Ip;
  /** `ip:port` of both, as logs tell them. */
  readonly peerText: string;
  readonly localText: string;
}

export class InboundStream implements StreamUser, AccessOwner, DialOwner, LedgerOwner, LiveConnection {
  sendQueued = false;
  nextSender: Sender | null = null;
  readonly #pod: Pod;
  readonly #ends: TunnelEnds;
  readonly #session: Session;
  readonly #stream: H2Stream;
  readonly #ledger: Ledger;
  #local: WorkloadFacts | null = null;
  #delivery: Delivery | null = null;
  #forwardedHost = '';
  #access: Access | null = null;
  #dial: Dial | null = null;
  #joined: TunnelStream | null = null;

  constructor(pod: Pod, ends: TunnelEnds, session: Session, stream: H2Stream) {
    this.#pod = pod;
    this.#ends = ends;
    this.#session = session;
    this.#stream = stream;
    stream.userData = this;
    this.#ledger = new Ledger(pod.runtime, 'inbound', false, this);
    pod.add(this);
  }

  begin(headers: HeaderBlock): void {
    const parsed = headers.isTunnel ? parseAuthority(headers.authority) : undefined;
    if (parsed === undefined) {
      this.#refuseEarly(HboneStatus.badRequest, `bad CONNECT: ${headers.method} ${headers.authority}`);
      return;
    }
    const local = this.#pod.local();
    if (local === undefined) {
      this.#refuseEarly(HboneStatus.unavailable, this.#pod.unknownText());
      return;
    }
    this.#local = local;
    const { runtime } = this.#pod;
    const authority: Authority =
      parsed.kind === 'address'
        ? { ip: parseIp(parsed.ip), hostname: '', port: parsed.port }
        : { ip: undefined, hostname: parsed.hostname, port: parsed.port };
    const delivery = resolveInbound(
      runtime.mesh,
      { local: local.workload, connectedIp: this.#ends.localIp, authority, network: runtime.settings.network },
      NO_PROOF,
    );
    if (delivery.kind === 'refuse') {
      this.#refuseEarly(delivery.status, inboundText(delivery));
      return;
    }
    if (delivery.proxyDestination !== undefined) {
      this.#refuseEarly(HboneStatus.unavailable, 'PROXY application tunnels are not served by this proxy');
      return;
    }
    this.#delivery = delivery;
    this.#classify(headers, local, delivery);
  }

  #classify(headers: HeaderBlock, local: WorkloadFacts, delivery: Delivery): void {
    const { runtime } = this.#pod;
    const { peerIp, peerText, localText } = this.#ends;
    const uri = this.#session.peer?.uri ?? '';
    const identity = runtime.memory.identity(uri);
    const forwarded = headers.get('forwarded');
    this.#forwardedHost = forwarded === undefined ? '' : parseForwarded(forwarded).host;
    const { network } = runtime.settings;
    // Behind a gateway the address is the gateway's, and says nothing of who sends. Otherwise a record beats what baggage says.
    const source = isForeign(headers.get('x-forwarded-network'), network)
      ? undefined
      : runtime.mesh.workloadByAddress(network, peerIp);
    const party =
      source !== undefined
        ? runtime.memory.of(source).party
        : runtime.settings.responseBaggage
          ? partyOfBaggage(headers.all('baggage'))
          : undefined;
    const traceparent = headers.get('traceparent');
    const trace = traceparent === undefined ? undefined : parseTraceparent(traceparent)?.traceId;
    this.#ledger.open({
      direction: 'inbound',
      traceId: trace ?? traceIdOf(runtime.traceIds.next()),
      security: 'mutual_tls',
      sourceAddress: peerText,
      source: party,
      sourceIdentity: uri,
      destinationAddress: localText,
      hboneAddress: headers.authority,
      destination: local.party,
      destinationIdentity: local.uri,
      service: delivery.service ?? servedService(runtime.mesh, local.workload, delivery.port, this.#forwardedHost),
    });
    const flow = { sourceIp: peerIp, identity, destinationIp: delivery.ip, destinationPort: delivery.port };
    this.#access = new Access(this.#pod, local.workload, flow, this);
    this.#access.begin();
  }

  // === AccessOwner ===

  onVerdict(verdict: AccessVerdict): void {
    const delivery = this.#delivery;
    if (delivery === null || this.#ledger.closed) return;
    if (!verdict.allow) {
      this.#answer(HboneStatus.denied);
      this.#ledger.close('DENY', denialText(accessText(verdict)), verdict);
      return;
    }
    const fd = dialApplication(this.#pod, delivery.ip, delivery.port, this.#ends.peerIp);
    if (fd < 0) this.onDialFailed(-fd);
    else this.#dial = new Dial(this.#pod.runtime.loop, fd, this, this.#pod.runtime.settings.connectTimeoutMs);
  }

  onDenied(verdict: AccessVerdict): void {
    if (this.#ledger.closed) return;
    if (this.#joined !== null) this.#joined.kill(POLICY_CHANGED);
    else {
      this.#answer(HboneStatus.denied);
      this.#ledger.close('DENY', POLICY_CHANGED, verdict);
    }
  }

  // === DialOwner ===

  onConnected(socket: Socket): void {
    this.#dial = null;
    const baggage = this.#pod.runtime.settings.responseBaggage ? (this.#local?.baggage ?? '') : '';
    this.#session.h2.respond(this.#stream, connectResponse(HboneStatus.ok, baggage), false);
    this.#joined = new TunnelStream(this.#session, this.#stream, socket, this.#ledger);
  }

  onDialFailed(errno: number): void {
    this.#dial = null;
    this.#answer(HboneStatus.unavailable);
    this.#ledger.close('CONNECT', `connection failed: ${errnoName(errno)}`);
  }

  // === StreamUser, until it is joined ===

  fill(): number {
    return 0;
  }

  onHeaders(): void {}

  onData(start: number, end: number): void {
    // A client that does not wait for the 200 has to: what it says early is not kept.
    this.#session.h2.consumed(this.#stream, end - start);
    if (end > start) this.#reset('data before the answer');
  }

  onReset(code: number): void {
    this.#gone(`stream reset by peer: ${errorName(code)}`);
  }

  onSendable(): void {}

  onTunnelLost(cause: string): void {
    this.#gone(cause);
  }

  // === endings ===

  kill(error: string): void {
    if (this.#joined !== null) this.#joined.kill(error);
    else this.#reset(error);
  }

  info(): ConnectionInfo | null {
    const { record } = this.#ledger;
    if (record === null || this.#delivery === null) return null;
    return {
      pod: this.#pod.info.uid,
      direction: 'inbound',
      src: record.sourceAddress,
      originalDst: this.#forwardedHost === '' ? null : this.#forwardedHost,
      actualDst: this.#delivery.ip.withPort(this.#delivery.port),
      protocol: 'HBONE',
      nodeLocal: false,
    };
  }

  onOver(): void {
    this.#access?.end();
    this.#dial?.cancel();
    this.#dial = null;
    this.#pod.delete(this);
  }

  #refuseEarly(status: number, error: string): void {
    this.#answer(status);
    this.#ledger.denyEarly(this.#ends.peerText, this.#ends.localText, error);
  }

  /** A final answer that is no 200: the stream ends with it, whatever the client still says. */
  #answer(status: number): void {
    const { h2 } = this.#session;
    this.#stream.userData = undefined;
    h2.respond(this.#stream, connectResponse(status, ''), true);
    h2.resetStream(this.#stream, ErrorCode.noError);
    this.#session.streamGone();
  }

  #reset(error: string): void {
    if (this.#ledger.closed) return;
    this.#session.h2.resetStream(this.#stream, ErrorCode.cancel);
    this.#gone(error);
  }

  #gone(error: string): void {
    if (this.#ledger.closed) return;
    this.#stream.userData = undefined;
    this.#session.streamGone();
    if (this.#ledger.record === null) this.#ledger.denyEarly(this.#ends.peerText, this.#ends.localText, error);
    else this.#ledger.close('-', error);
  }
}

/** Whether the sender's network, as its proxy tells it, is another than ours. */
function isForeign(forwarded: string | undefined, network: string): boolean {
  return forwarded !== undefined && forwarded.toLowerCase() !== network.toLowerCase();
}
