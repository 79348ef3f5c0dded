// SPDX-License-Identifier: Apache-2.0
// One CONNECT that came to a pod, from the request to its end. The checks and their answers, in this order (facts of the protocol,
// section 1.7): method and authority 400, local workload 503, destination 400 or 503, policy 401, application 503, then 200. The
// application is connected before the 200, so a tunnel that opens leads somewhere.
import { errnoName } from '#lib/linux/errno.ts';
import type { Authority } from '#lib/mesh/inbound.ts';
import type { Ip } from '#lib/mesh/ip.ts';
import { accessText } from '#lib/mesh/reason.ts';
import type { AccessVerdict } from '#lib/mesh/verdict.ts';
import { Dial, type DialOwner } from '#lib/net/dial.ts';
import type { Dialler } from '#lib/net/dial-turns.ts';
import { Outbox } from '#lib/net/outbox.ts';
import type { Sender } from '#lib/net/send-queue.ts';
import type { Session, StreamUser } from '#lib/net/session.ts';
import type { Socket } from '#lib/net/socket.ts';
import { TunnelStream } from '#lib/net/tunnel-stream.ts';
import type { WorkloadFacts } from '#lib/proxy/worker/workload-facts.ts';
import type { HeaderBlock } from '#lib/wire/h2/headers.ts';
import { ErrorCode, errorName } from '#lib/wire/h2/protocol.ts';
import type { H2Stream } from '#lib/wire/h2/stream.ts';
import { connectResponse, HboneStatus } from '#lib/wire/hbone.ts';
import type { ConnectionInfo } from '../control.ts';
import type { LiveConnection, Pod } from '../inpod/pod.ts';
import { Ledger, type LedgerOwner } from '../worker/ledger.ts';
import { isKnown, type MeshWait } from '../worker/mesh-waits.ts';
import { Access, type AccessOwner, denialText } from './access.ts';
import { dialApplication, dialOnLoopback } from './application.ts';
import {
  authorityOf,
  badConnect,
  type Delivery,
  type Refusal,
  readConnect,
  type TunnelEnds,
} from './connect-request.ts';
import { sendProxyHeader } from './proxy-header.ts';

export class InboundStream implements StreamUser, AccessOwner, Dialler, DialOwner, LedgerOwner, LiveConnection {
  place = -1;
  sendQueued = false;
  nextSender: Sender | null = null;
  nextDialler: Dialler | null = null;
  readonly #pod: Pod;
  readonly #ends: TunnelEnds;
  readonly #session: Session;
  readonly #stream: H2Stream;
  readonly #ledger: Ledger;
  #local: WorkloadFacts | null = null;
  #delivery: Delivery | null = null;
  #forwardedHost = '';
  #wait: MeshWait | null = null;
  #access: Access | null = null;
  #dial: Dial | null = null;
  #joined: TunnelStream | null = null;
  /** What the client says before the answer. */
  #early: Outbox | null = null;
  /** It has said all it wants to say. */
  #ended = false;

  constructor(pod: Pod, ends: TunnelEnds, session: Session, stream: H2Stream) {
    this.#pod = pod;
    this.#ends = ends;
    this.#session = session;
    this.#stream = stream;
    stream.userData = this;
    this.#ledger = new Ledger(pod.runtime, 'inbound', false, this);
    pod.add(this);
  }

  begin(headers: HeaderBlock, endStream: boolean): void {
    this.#ended = endStream;
    const authority = authorityOf(headers);
    if (authority === undefined) {
      this.#refuseEarly(badConnect(headers));
      return;
    }
    const mayAsk = this.#pod.runtime.settings.onDemand;
    if (this.#pod.local() !== undefined) {
      this.#read(headers, authority, mayAsk);
      return;
    }
    this.#waitFor('', (last) => {
      if (this.#pod.local() === undefined && !last) return false;
      this.#read(headers, authority, mayAsk);
      return true;
    });
  }

  /** @param mayAsk what is not known here may still be known to the control plane */
  #read(headers: HeaderBlock, authority: Authority, mayAsk: boolean): void {
    const local = this.#pod.local();
    if (local === undefined) {
      const error = this.#pod.unknownText();
      this.#refuseEarly({ kind: 'refuse', status: HboneStatus.unavailable, error, missing: '' });
      return;
    }
    const peer = this.#session.peer?.uri ?? '';
    const proof = this.#ledger.proof();
    const incoming = readConnect(this.#pod.runtime, local, this.#ends, peer, authority, headers, proof);
    if (incoming.kind === 'refuse') {
      if (mayAsk && incoming.missing !== '') this.#ask(incoming.missing, headers, authority);
      else this.#refuseEarly(incoming);
      return;
    }
    this.#local = local;
    this.#delivery = incoming.delivery;
    this.#forwardedHost = incoming.forwardedHost;
    this.#ledger.open(incoming.record);
    this.#access = new Access(this.#pod, local.workload, incoming.flow, this.#ledger, this);
    this.#access.begin();
  }

  #ask(name: string, headers: HeaderBlock, authority: Authority): void {
    const { runtime } = this.#pod;
    runtime.toMain({ kind: 'wanted', name });
    this.#waitFor(name, (last) => {
      if (!last && !isKnown(runtime.mesh, runtime.settings.network, name)) return false;
      this.#read(headers, authority, false);
      return true;
    });
  }

  #waitFor(name: string, retry: (last: boolean) => boolean): void {
    const goOn = (last: boolean): boolean => this.#ledger.closed || retry(last);
    const { settings, waits } = this.#pod.runtime;
    this.#wait = waits.add(settings.recordWaitMs, goOn, name);
  }

  // === AccessOwner ===

  onVerdict(verdict: AccessVerdict): void {
    const delivery = this.#delivery;
    if (delivery === null || this.#ledger.closed) return;
    this.#ledger.judged(verdict);
    if (!verdict.allow) {
      this.#answer(HboneStatus.denied);
      this.#ledger.close('DENY', denialText(accessText(verdict)), verdict);
      return;
    }
    this.#pod.runtime.bench.dials.push(this.#session.dials, this);
  }

  // === Dialler ===

  dial(): boolean {
    const delivery = this.#delivery;
    if (delivery === null || this.#ledger.closed) return false;
    const { settings } = this.#pod.runtime;
    const loopback = delivery.proxyDestination !== undefined && settings.localhostAppTunnel;
    const fd = loopback
      ? dialOnLoopback(this.#pod, delivery.ip.family, delivery.port)
      : dialApplication(this.#pod, delivery.ip, delivery.port, this.#ends.peerIp);
    this.#stream.begun = true;
    if (fd < 0) this.onDialFailed(-fd);
    else this.#dial = new Dial(this.#pod.runtime.loop, fd, this, settings.connectTimeoutMs);
    return true;
  }

  onDenied(error: string, verdict?: AccessVerdict): void {
    if (this.#ledger.closed) return;
    this.#ledger.blame(verdict);
    if (this.#joined !== null) this.#joined.kill(error);
    else {
      this.#answer(HboneStatus.denied);
      this.#ledger.close('DENY', error, verdict);
    }
  }

  // === DialOwner ===

  onConnected(socket: Socket): void {
    this.#dial = null;
    const baggage = this.#pod.runtime.settings.responseBaggage ? (this.#local?.baggage ?? '') : '';
    this.#session.h2.respond(this.#stream, connectResponse(HboneStatus.ok, baggage), false);
    const told = this.#delivery?.proxyDestination;
    if (told !== undefined && !this.#sendProxyHeader(socket, told)) return;
    const early = { outbox: this.#early, ended: this.#ended };
    this.#early = null;
    this.#joined = new TunnelStream(this.#session, this.#stream, socket, this.#ledger, early);
  }

  /** Before any byte of the client's; false when the program is gone already. */
  #sendProxyHeader(socket: Socket, destination: { readonly ip: Ip; readonly port: number }): boolean {
    const { peerIp, peerPort } = this.#ends;
    const sent = sendProxyHeader(this.#session.bench, socket, {
      source: { ip: peerIp.text, port: peerPort },
      destination: { ip: destination.ip.text, port: destination.port },
      identity: this.#session.peer?.uri ?? '',
    });
    if (sent) return true;
    socket.abort();
    this.#reset('connection failed: the program took no PROXY header');
    return false;
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

  onData(start: number, end: number, endStream: boolean): void {
    // Nobody has to wait for the 200 (RFC 9113 section 8.5); what comes early is kept, bounded as a stopped reader's is.
    const { blocks, receive } = this.#session.bench;
    if (end > start) {
      this.#early ??= new Outbox(blocks, () => this.kill('memory for stopped readers is used up, this one held most'));
      if (!this.#early.append(receive, start, end - start)) return;
    }
    this.#ended ||= endStream;
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
      ageMs: this.#ledger.ageMs,
    };
  }

  onOver(): void {
    this.#wait?.cancel();
    this.#access?.end();
    this.#dial?.cancel();
    this.#dial = null;
    this.#early?.clear();
    this.#early = null;
    this.#pod.delete(this);
  }

  #refuseEarly({ status, error }: Refusal): void {
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
