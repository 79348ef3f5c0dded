// SPDX-License-Identifier: Apache-2.0
// One captured connection from an application of the pod, from accept to its end.
//
//   accepted ─▶ deciding ─▶ certificate ─▶ tunnel ─▶ connecting ─▶ joined ─▶ over
//                  │  ▲          (CONNECT sent, 200 awaited) ▲
//       news of    ▼  │                                     │
//       the mesh: waiting          plain: dialling ──────────┘
//
// Until the answer is 200 nothing is read from the application, so an endpoint that refuses or times out can be exchanged for
// another (`tried`). The application's own end is noticed meanwhile. Every failure is visible to it: its socket is reset or closed
// without a byte, never half served.
import { errnoName } from '#lib/linux/errno.ts';
import { tcpDial } from '#lib/linux/socket.ts';
import type { Ip } from '#lib/mesh/ip.ts';
import { resolveOutbound } from '#lib/mesh/outbound.ts';
import { NO_PROOF } from '#lib/mesh/proof.ts';
import { outboundText } from '#lib/mesh/reason.ts';
import type { HboneVerdict, OutboundVerdict, PlainVerdict } from '#lib/mesh/verdict.ts';
import type { WorkloadUid } from '#lib/mesh/workload.ts';
import { Dial, type DialOwner } from '#lib/net/dial.ts';
import type { TunnelWaiter } from '#lib/net/pool.ts';
import type { Sender } from '#lib/net/send-queue.ts';
import type { Session, StreamUser } from '#lib/net/session.ts';
import type { Socket, SocketOwner } from '#lib/net/socket.ts';
import { SocketJoin } from '#lib/net/socket-join.ts';
import { TunnelStream } from '#lib/net/tunnel-stream.ts';
import type { HeaderBlock } from '#lib/wire/h2/headers.ts';
import { ErrorCode, errorName } from '#lib/wire/h2/protocol.ts';
import type { H2Stream } from '#lib/wire/h2/stream.ts';
import { connectRequest, HboneStatus } from '#lib/wire/hbone.ts';
import type { ConnectionInfo } from '../control.ts';
import type { LiveConnection, Pod } from '../inpod/pod.ts';
import type { ConnectionRecord, ResponseFlag } from '../telemetry/connection.ts';
import { endpointOf } from '../worker/address.ts';
import type { IdentityWaiter } from '../worker/identities.ts';
import { Ledger, type LedgerOwner } from '../worker/ledger.ts';
import type { MeshWait } from '../worker/mesh-waits.ts';
import { traceIdOf } from '../worker/trace-ids.ts';
import type { WorkloadFacts } from '../worker/workload-facts.ts';
import { NodeLocal } from './node-local.ts';
import { type PeerTarget, peerTarget } from './tunnel.ts';

/** How long the pod's own record may take to arrive. */
const LOCAL_WAIT_MS = 5_000;

/** Tunnels that may be lost under one request before that counts as the peer's failure. */
const MAX_TUNNELS = 2;

/** What can be cut: a joined connection of either kind. */
interface Killable {
  kill(error: string): void;
}

export class OutboundConnection
  implements SocketOwner, StreamUser, TunnelWaiter, IdentityWaiter, DialOwner, LedgerOwner, LiveConnection
{
  sendQueued = false;
  nextSender: Sender | null = null;
  readonly #pod: Pod;
  readonly #socket: Socket;
  readonly #ledger: Ledger;
  readonly #sourceIp: Ip;
  readonly #sourcePort: number;
  readonly #ip: Ip;
  readonly #port: number;
  readonly #traceparent: string;
  #tried: WorkloadUid[] | null = null;
  #waited = false;
  #verdict: OutboundVerdict | null = null;
  #local: WorkloadFacts | null = null;
  #wait: MeshWait | null = null;
  #target: PeerTarget | null = null;
  #awaitsTunnel = false;
  /** Tunnels to the same peer that were lost before they answered. */
  #tunnels = 0;
  #dial: Dial | null = null;
  #session: Session | null = null;
  #stream: H2Stream | null = null;
  #joined: Killable | null = null;
  /** Why the last attempt failed; told when no other endpoint is left. */
  #lastError = '';

  /** `socket` was accepted; it dialled `ip:port`. Call `begin` next. */
  constructor(pod: Pod, socket: Socket, source: { readonly ip: Ip; readonly port: number }, ip: Ip, port: number) {
    this.#pod = pod;
    this.#socket = socket;
    this.#sourceIp = source.ip;
    this.#sourcePort = source.port;
    this.#ip = ip;
    this.#port = port;
    this.#traceparent = pod.runtime.traceIds.next();
    this.#ledger = new Ledger(pod.runtime, 'outbound', true, this);
    pod.add(this);
  }

  begin(): void {
    const { ports } = this.#pod.runtime.settings;
    const illegal = this.#port === ports.outbound || this.#port === ports.inbound || this.#port === ports.hbone;
    if (this.#ip.loopback && illegal) this.#denyEarly('attempted recursive call to ourselves');
    else this.#decide();
  }

  // === the decision ===

  #decide(): void {
    const { runtime } = this.#pod;
    const local = this.#pod.local();
    if (local === undefined) {
      this.#waitForMesh(LOCAL_WAIT_MS, (last) => {
        if (this.#pod.local() === undefined && !last) return false;
        if (this.#pod.local() === undefined) this.#denyEarly(this.#pod.unknownText());
        else this.#decide();
        return true;
      });
      return;
    }
    this.#local = local;
    const flow = {
      source: local.workload,
      ip: this.#ip,
      port: this.#port,
      tried: this.#tried ?? NONE_TRIED,
      waited: this.#waited,
    };
    const verdict = resolveOutbound(runtime.mesh, flow, runtime.outbound, runtime.random, NO_PROOF);
    this.#verdict = verdict;
    switch (verdict.kind) {
      case 'wait':
        this.#waitForAddress();
        return;
      case 'drop':
        this.#noWay(outboundText(verdict));
        return;
      case 'passthrough':
      case 'tcp':
        this.#plain(verdict);
        return;
      case 'hbone':
        this.#tunnel(verdict, local);
        return;
      case 'double-hbone':
        this.#noWay('tunnels to other networks are not served by this proxy');
    }
  }

  #waitForMesh(ms: number, retry: (last: boolean) => boolean): void {
    this.#wait = this.#pod.runtime.waits.add(ms, (last) => {
      const done = retry(last);
      return done;
    });
  }

  #waitForAddress(): void {
    const { runtime } = this.#pod;
    const { network, unknownAddress } = runtime.settings;
    runtime.toMain({ kind: 'address-wanted', address: `${network}/${this.#ip.text}` });
    this.#waitForMesh(unknownAddress.waitMs, (last) => {
      const known =
        runtime.mesh.workloadByAddress(network, this.#ip) !== undefined ||
        runtime.mesh.serviceByAddress(network, this.#ip, this.#pod.info.namespace) !== undefined;
      if (!known && !last) return false;
      this.#waited = true;
      const outcome = known ? 'learnt' : unknownAddress.outcome === 'pass' ? 'passed' : 'refused';
      runtime.telemetry.count('ambit_unknown_address_total', { outcome });
      this.#decide();
      return true;
    });
  }

  /** No endpoint (any more): the error of the last one tried tells more than that none is left. */
  #noWay(text: string): void {
    if (this.#lastError !== '') this.#fail('CONNECT', this.#lastError);
    else this.#denyEarly(text);
  }

  // === plain ===

  #plain(verdict: PlainVerdict): void {
    const { ip, port } = verdict.target;
    if (ip === undefined) {
      this.#noWay(`destination ${verdict.target.hostname} has a host name and no address`);
      return;
    }
    const to = endpointOf(ip, port);
    const { workload } = verdict;
    const destination = workload === undefined ? undefined : this.#pod.runtime.memory.of(workload);
    this.#ledger.open(this.#record('none', to.toString(), '', destination, verdict.service));
    const fd = tcpDial(to, this.#pod.dialOptions);
    if (fd < 0) this.onDialFailed(-fd);
    else this.#dial = new Dial(this.#pod.runtime.loop, fd, this, this.#pod.runtime.settings.connectTimeoutMs);
  }

  onConnected(socket: Socket): void {
    this.#dial = null;
    this.#joined = new SocketJoin(this.#pod.runtime.bench, this.#socket, socket, this.#ledger);
    this.#settled();
  }

  onDialFailed(errno: number): void {
    this.#dial = null;
    this.#attemptFailed(`connection failed: ${errnoName(errno)}`, 'CONNECT');
  }

  // === tunnel ===

  #tunnel(verdict: HboneVerdict, local: WorkloadFacts): void {
    const { runtime } = this.#pod;
    const { ip, port } = verdict.target;
    if (ip === undefined) {
      this.#noWay(`destination ${verdict.target.hostname} has a host name and no address`);
      return;
    }
    const peer = runtime.memory.of(verdict.workload);
    if (verdict.sameNode && runtime.settings.sameNode === 'join') {
      const there = runtime.podOf(verdict.workload);
      if (there !== undefined && NodeLocal.possible(this.#pod, there, verdict) && runtime.admission.enter()) {
        this.#joinOnNode(there, verdict, local, peer);
        return;
      }
    }
    const target = peerTarget(local.uri, verdict.identities, endpointOf(ip, port));
    this.#target = target;
    this.#ledger.open(this.#record('mutual_tls', target.endpoint.toString(), verdict.authority, peer, verdict.service));
    if (runtime.identities.context(local.uri) === null) runtime.identities.obtain(local.uri, this);
    else this.onIdentity();
  }

  onIdentity(): void {
    if (this.#ledger.closed || this.#target === null) return;
    this.#awaitsTunnel = true;
    this.#pod.pool.acquire(this.#target, this);
  }

  onNoIdentity(reason: string): void {
    if (!this.#ledger.closed) this.#fail('IDENTITY_ERROR', `identity error: ${reason}`);
  }

  onTunnel(session: Session): void {
    this.#awaitsTunnel = false;
    const verdict = this.#verdict;
    if (this.#ledger.closed || verdict?.kind !== 'hbone' || this.#local === null) return;
    const headers = connectRequest({
      authority: verdict.authority,
      baggage: this.#local.baggage,
      forwardedFor: this.#sourceIp.withPort(this.#sourcePort),
      forwardedHost: verdict.service?.hostname ?? '',
      traceparent: this.#traceparent,
      forwardedNetwork: '',
    });
    this.#session = session;
    this.#stream = session.request(headers, this);
    if (this.#stream === null) this.#attemptFailed('tunnel takes no more streams', 'H2_HANDSHAKE_FAILURE');
  }

  onNoTunnel(cause: string): void {
    this.#awaitsTunnel = false;
    this.#attemptFailed(cause, cause.startsWith('connection timed out') ? 'NETWORK_POLICY' : 'CONNECT');
  }

  // === the stream, until it is answered ===

  fill(): number {
    return 0;
  }

  onHeaders(headers: HeaderBlock, endStream: boolean): void {
    const session = this.#session;
    const stream = this.#stream;
    if (session === null || stream === null || headers.status < 200) return;
    if (headers.status === HboneStatus.ok && !endStream) {
      this.#joined = new TunnelStream(session, stream, this.#socket, this.#ledger);
      this.#forgetStream();
      this.#settled();
      return;
    }
    session.h2.resetStream(stream, ErrorCode.cancel);
    this.#streamOver();
    const error = `http status: ${headers.status}`;
    // 503: no byte reached an application there, and it will not take any. Everything else is an answer.
    if (headers.status === HboneStatus.unavailable) this.#attemptFailed(error, 'CONNECT');
    else this.#fail('CONNECT', error);
  }

  onData(start: number, end: number): void {
    if (this.#session !== null && this.#stream !== null) this.#session.h2.consumed(this.#stream, end - start);
  }

  onReset(code: number): void {
    this.#streamOver();
    // Refused means that nobody looked at it (RFC 9113 section 8.7): the tunnel was being drained, another will do.
    if (code === ErrorCode.refusedStream && this.#again()) return;
    this.#attemptFailed(`stream reset by peer: ${errorName(code)}`, 'H2_HANDSHAKE_FAILURE');
  }

  onSendable(): void {}

  onTunnelLost(cause: string): void {
    this.#streamOver();
    // Nothing was sent yet, so a tunnel that died under the request may be exchanged for a new one.
    if (!this.#again()) this.#attemptFailed(cause, 'CONNECT');
  }

  /** Asks for the same peer by another tunnel; false when that was done often enough. */
  #again(): boolean {
    if (this.#target === null || this.#ledger.closed || this.#pod.closed || this.#pod.draining) return false;
    if (++this.#tunnels > MAX_TUNNELS) return false;
    this.onIdentity();
    return true;
  }

  // === same node ===

  #joinOnNode(there: Pod, verdict: HboneVerdict, local: WorkloadFacts, peer: WorkloadFacts): void {
    const record = this.#record('node_local', '', '', peer, verdict.service);
    this.#ledger.open({ ...record, destinationAddress: verdict.authority });
    const shortcut = new NodeLocal({
      from: this.#pod,
      there,
      verdict,
      client: this.#socket,
      source: { ip: this.#sourceIp, port: this.#sourcePort },
      local,
      peer,
      traceId: traceIdOf(this.#traceparent),
      outbound: this.#ledger,
      onRefused: (error, retry) => {
        this.#joined = null;
        if (retry) this.#attemptFailed(error, 'CONNECT');
        else this.#fail('CONNECT', error);
      },
    });
    this.#joined = shortcut;
    shortcut.begin();
  }

  // === the application ===

  onSocket(socket: Socket): void {
    // Not joined yet. Only a reset matters; what it says and a FIN wait for the other side.
    if (socket.ending && socket.broken()) this.#fail('-', '');
  }

  // === endings ===

  /** One endpoint refused; another may not. */
  #attemptFailed(error: string, flag: ResponseFlag): void {
    if (this.#ledger.closed) return;
    const { runtime } = this.#pod;
    const verdict = this.#verdict;
    this.#lastError = error;
    const workload = verdict?.kind === 'hbone' || verdict?.kind === 'tcp' ? verdict.workload : undefined;
    const attempts = (this.#tried?.length ?? 0) + 1;
    const balanced = verdict !== null && verdict.kind !== 'wait' && verdict.service !== undefined;
    if (workload === undefined || !balanced || attempts >= runtime.settings.connectAttempts) {
      this.#fail(flag, error);
      return;
    }
    this.#tried ??= [];
    this.#tried.push(workload.uid);
    runtime.telemetry.count('ambit_connect_retries_total', { reporter: 'source' });
    this.#decide();
  }

  #fail(flag: ResponseFlag, error: string): void {
    if (this.#ledger.closed) return;
    this.#release();
    this.#socket.abort();
    this.#ledger.close(flag, error);
  }

  #denyEarly(error: string): void {
    this.#release();
    this.#socket.abort();
    this.#ledger.denyEarly(this.#sourceIp.withPort(this.#sourcePort), this.#ip.withPort(this.#port), error);
  }

  kill(error: string): void {
    if (this.#joined !== null) this.#joined.kill(error);
    else if (this.#ledger.record === null) this.#denyEarly(error);
    else this.#fail('-', error);
  }

  info(): ConnectionInfo | null {
    const { record } = this.#ledger;
    if (record === null) return null;
    return {
      pod: this.#pod.info.uid,
      direction: 'outbound',
      src: record.sourceAddress,
      originalDst: this.#ip.withPort(this.#port),
      actualDst: record.destinationAddress,
      protocol: record.hboneAddress === '' ? 'TCP' : 'HBONE',
      nodeLocal: record.security === 'node_local',
    };
  }

  onOver(): void {
    this.#pod.delete(this);
  }

  /** No other endpoint will be tried: what led here need not live as long as the connection. */
  #settled(): void {
    this.#verdict = null;
    this.#local = null;
    this.#target = null;
    this.#tried = null;
    this.#lastError = '';
  }

  /** Lets go of whatever is being waited for. */
  #release(): void {
    this.#wait?.cancel();
    this.#wait = null;
    this.#dial?.cancel();
    this.#dial = null;
    if (this.#awaitsTunnel && this.#target !== null) this.#pod.pool.cancel(this.#target, this);
    this.#awaitsTunnel = false;
    if (this.#session !== null && this.#stream !== null) {
      this.#session.h2.resetStream(this.#stream, ErrorCode.cancel);
      this.#streamOver();
    }
  }

  #streamOver(): void {
    const session = this.#session;
    if (this.#stream !== null) this.#stream.userData = undefined;
    this.#forgetStream();
    session?.streamGone();
  }

  #forgetStream(): void {
    this.#session = null;
    this.#stream = null;
  }

  #record(
    security: ConnectionRecord['security'],
    destinationAddress: string,
    hboneAddress: string,
    destination: WorkloadFacts | undefined,
    service: ConnectionRecord['service'],
  ): ConnectionRecord {
    const local = this.#local;
    return {
      direction: 'outbound',
      traceId: traceIdOf(this.#traceparent),
      security,
      sourceAddress: this.#sourceIp.withPort(this.#sourcePort),
      source: local?.party,
      sourceIdentity: security === 'none' ? '' : (local?.uri ?? ''),
      destinationAddress,
      hboneAddress,
      destination: destination?.party,
      destinationIdentity: destination?.uri ?? '',
      service,
    };
  }
}

const NONE_TRIED: readonly WorkloadUid[] = [];
