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
import type { Socket, SocketOwner } from '#lib/net/socket.ts';
import { SocketJoin } from '#lib/net/socket-join.ts';
import type { JoinOwner } from '#lib/net/tunnel-stream.ts';
import type { ConnectionInfo } from '../control.ts';
import { Access, type AccessOwner, denialText } from '../inbound/access.ts';
import { dialApplication } from '../inbound/application.ts';
import type { LiveConnection, Pod } from '../inpod/pod.ts';
import { Ledger, type LedgerOwner, POLICY_CHANGED } from '../worker/ledger.ts';
import type { WorkloadFacts } from '../worker/workload-facts.ts';

export interface NodeLocalOptions {
  readonly from: Pod;
  readonly there: Pod;
  readonly verdict: HboneVerdict;
  readonly client: Socket;
  readonly source: { readonly ip: Ip; readonly port: number };
  readonly local: WorkloadFacts;
  readonly peer: WorkloadFacts;
  readonly traceId: string;
  /** The source's books. */
  readonly outbound: Ledger;
  /** It did not come to be; nothing was sent or read. `retry`: another endpoint may do. */
  readonly onRefused: (error: string, retry: boolean) => void;
}

export class NodeLocal implements SocketOwner, AccessOwner, DialOwner, JoinOwner, LedgerOwner, LiveConnection {
  readonly #options: NodeLocalOptions;
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

  constructor(options: NodeLocalOptions) {
    this.#options = options;
    this.#ip = options.verdict.destination.ip!;
    this.#port = options.verdict.destination.port;
    this.#inbound = new Ledger(options.there.runtime, 'inbound', true, this);
    options.there.add(this);
  }

  begin(): void {
    const { there, source, local, peer, traceId, verdict, client } = this.#options;
    client.owner = this;
    this.#inbound.open({
      direction: 'inbound',
      traceId,
      security: 'node_local',
      sourceAddress: source.ip.withPort(source.port),
      source: local.party,
      sourceIdentity: local.uri,
      destinationAddress: this.#ip.withPort(this.#port),
      hboneAddress: '',
      destination: peer.party,
      destinationIdentity: peer.uri,
      service: verdict.service ?? servedService(there.runtime.mesh, peer.workload, this.#port, ''),
    });
    const flow = {
      sourceIp: source.ip,
      identity: local.identity,
      destinationIp: this.#ip,
      destinationPort: this.#port,
    };
    this.#access = new Access(there, peer.workload, flow, this);
    this.#access.begin();
  }

  onVerdict(verdict: AccessVerdict): void {
    if (this.#inbound.closed) return;
    const { there, source, onRefused } = this.#options;
    if (!verdict.allow) {
      this.#inbound.close('DENY', denialText(accessText(verdict)), verdict);
      onRefused('http status: 401', false);
      return;
    }
    const fd = dialApplication(there, this.#ip, this.#port, source.ip);
    if (fd < 0) this.onDialFailed(-fd);
    else this.#dial = new Dial(there.runtime.loop, fd, this, there.runtime.settings.connectTimeoutMs);
  }

  onDenied(verdict: AccessVerdict): void {
    if (this.#inbound.closed) return;
    if (this.#joined !== null) this.#joined.kill(POLICY_CHANGED);
    else {
      this.#inbound.close('DENY', POLICY_CHANGED, verdict);
      this.#options.onRefused('http status: 401', false);
    }
  }

  onConnected(socket: Socket): void {
    this.#dial = null;
    this.#joined = new SocketJoin(this.#options.there.runtime.bench, this.#options.client, socket, this);
  }

  onDialFailed(errno: number): void {
    this.#dial = null;
    const error = `connection failed: ${errnoName(errno)}`;
    this.#inbound.close('CONNECT', error);
    this.#options.onRefused(error, true);
  }

  onSocket(socket: Socket): void {
    if (socket.ending && socket.broken()) this.kill('');
  }

  onBytesOut(n: number): void {
    this.#options.outbound.onBytesOut(n);
    this.#inbound.onBytesOut(n);
  }

  onBytesIn(n: number): void {
    this.#options.outbound.onBytesIn(n);
    this.#inbound.onBytesIn(n);
  }

  onJoinEnd(error: string): void {
    this.#inbound.onJoinEnd(error);
    this.#options.outbound.onJoinEnd(error);
  }

  kill(error: string): void {
    if (this.#joined !== null) {
      this.#joined.kill(error);
      return;
    }
    if (this.#inbound.closed) return;
    this.#options.client.abort();
    this.#inbound.close('-', error);
    this.#options.outbound.close('-', error);
  }

  info(): ConnectionInfo | null {
    const { there, source } = this.#options;
    return {
      pod: there.info.uid,
      direction: 'inbound',
      src: source.ip.withPort(source.port),
      originalDst: null,
      actualDst: this.#ip.withPort(this.#port),
      protocol: 'TCP',
      nodeLocal: true,
    };
  }

  onOver(): void {
    this.#access?.end();
    this.#dial?.cancel();
    this.#dial = null;
    this.#options.there.delete(this);
  }
}
