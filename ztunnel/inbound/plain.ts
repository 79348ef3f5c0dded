// SPDX-License-Identifier: Apache-2.0
// Plain traffic to a pod, redirected to port 15006: from outside the mesh, or from what is not captured. It carries no identity;
// whether that is enough is the policies' say (STRICT arrives as one of them). The client's address is kept.
import { errnoName } from '#lib/linux/errno.ts';
import { servedService } from '#lib/mesh/inbound.ts';
import type { Ip } from '#lib/mesh/ip.ts';
import { accessText } from '#lib/mesh/reason.ts';
import type { AccessVerdict } from '#lib/mesh/verdict.ts';
import { Dial, type DialOwner } from '#lib/net/dial.ts';
import type { Socket, SocketOwner } from '#lib/net/socket.ts';
import { SocketJoin } from '#lib/net/socket-join.ts';
import type { WorkloadFacts } from '#lib/proxy/worker/workload-facts.ts';
import type { ConnectionInfo } from '../control.ts';
import type { LiveConnection, Pod } from '../inpod/pod.ts';
import { Ledger, type LedgerOwner } from '../worker/ledger.ts';
import type { MeshWait } from '../worker/mesh-waits.ts';
import { traceIdOf } from '../worker/trace-ids.ts';
import { Access, type AccessOwner, denialText } from './access.ts';
import { dialApplication } from './application.ts';

export class InboundPlain implements SocketOwner, AccessOwner, DialOwner, LedgerOwner, LiveConnection {
  place = -1;
  readonly #pod: Pod;
  readonly #socket: Socket;
  readonly #sourceIp: Ip;
  readonly #sourcePort: number;
  readonly #ip: Ip;
  readonly #port: number;
  readonly #ledger: Ledger;
  #wait: MeshWait | null = null;
  #access: Access | null = null;
  #dial: Dial | null = null;
  #joined: SocketJoin | null = null;

  constructor(pod: Pod, socket: Socket, source: { readonly ip: Ip; readonly port: number }, ip: Ip, port: number) {
    this.#pod = pod;
    this.#socket = socket;
    this.#sourceIp = source.ip;
    this.#sourcePort = source.port;
    this.#ip = ip;
    this.#port = port;
    this.#ledger = new Ledger(pod.runtime, 'inbound', true, this);
    pod.add(this);
  }

  begin(): void {
    const { settings, waits } = this.#pod.runtime;
    const { ports } = settings;
    if (this.#port === ports.outbound || this.#port === ports.inbound || this.#port === ports.hbone) {
      this.#denyEarly('attempted recursive call to ourselves');
      return;
    }
    const local = this.#pod.local();
    if (local !== undefined) {
      this.#classify(local);
      return;
    }
    this.#wait = waits.add(settings.recordWaitMs, (last) => {
      const found = this.#pod.local();
      if (found !== undefined) this.#classify(found);
      else if (last) this.#denyEarly(this.#pod.unknownText());
      else return false;
      return true;
    });
  }

  #classify(local: WorkloadFacts): void {
    this.#wait = null;
    const { runtime } = this.#pod;
    const source = runtime.mesh.workloadByAddress(runtime.settings.network, this.#sourceIp);
    this.#ledger.open({
      direction: 'inbound',
      traceId: traceIdOf(runtime.traceIds.next()),
      security: 'none',
      sourceAddress: this.#sourceIp.withPort(this.#sourcePort),
      source: source === undefined ? undefined : runtime.memory.of(source).party,
      sourceIdentity: '',
      destinationAddress: this.#ip.withPort(this.#port),
      hboneAddress: '',
      destination: local.party,
      destinationIdentity: local.uri,
      service: servedService(runtime.mesh, local.workload, this.#port, ''),
    });
    const flow = {
      sourceIp: this.#sourceIp,
      identity: undefined,
      destinationIp: this.#ip,
      destinationPort: this.#port,
    };
    this.#access = new Access(this.#pod, local.workload, flow, this.#ledger, this);
    this.#access.begin();
  }

  onVerdict(verdict: AccessVerdict): void {
    if (this.#ledger.closed) return;
    this.#ledger.judged(verdict);
    if (!verdict.allow) {
      this.#socket.abort();
      this.#ledger.close('DENY', denialText(accessText(verdict)), verdict);
      return;
    }
    const fd = dialApplication(this.#pod, this.#ip, this.#port, this.#sourceIp);
    if (fd < 0) this.onDialFailed(-fd);
    else this.#dial = new Dial(this.#pod.runtime.loop, fd, this, this.#pod.runtime.settings.connectTimeoutMs);
  }

  onDenied(error: string, verdict?: AccessVerdict): void {
    if (this.#ledger.closed) return;
    this.#ledger.blame(verdict);
    if (this.#joined !== null) this.#joined.kill(error);
    else {
      this.#socket.abort();
      this.#ledger.close('DENY', error, verdict);
    }
  }

  onConnected(socket: Socket): void {
    this.#dial = null;
    this.#joined = new SocketJoin(this.#pod.runtime.bench, this.#socket, socket, this.#ledger);
  }

  onDialFailed(errno: number): void {
    this.#dial = null;
    this.#socket.abort();
    this.#ledger.close('CONNECT', `connection failed: ${errnoName(errno)}`);
  }

  onSocket(socket: Socket): void {
    if (!socket.ending || !socket.broken()) return;
    socket.abort();
    this.#end('');
  }

  kill(error: string): void {
    if (this.#joined !== null) this.#joined.kill(error);
    else {
      this.#socket.abort();
      this.#end(error);
    }
  }

  info(): ConnectionInfo | null {
    if (this.#ledger.record === null) return null;
    return {
      pod: this.#pod.info.uid,
      direction: 'inbound',
      src: this.#sourceIp.withPort(this.#sourcePort),
      originalDst: null,
      actualDst: this.#ip.withPort(this.#port),
      protocol: 'TCP',
      nodeLocal: false,
      ageMs: this.#ledger.ageMs,
    };
  }

  onOver(): void {
    this.#wait?.cancel();
    this.#access?.end();
    this.#dial?.cancel();
    this.#dial = null;
    this.#pod.delete(this);
  }

  #denyEarly(error: string): void {
    this.#socket.abort();
    this.#ledger.denyEarly(this.#sourceIp.withPort(this.#sourcePort), this.#ip.withPort(this.#port), error);
  }

  #end(error: string): void {
    if (this.#ledger.record === null) this.#denyEarly(error === '' ? 'connection reset by the client' : error);
    else this.#ledger.close('-', error);
  }
}
