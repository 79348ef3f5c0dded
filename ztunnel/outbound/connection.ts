// SPDX-License-Identifier: Apache-2.0
// One captured connection from an application of the pod, from accept to its end.
//
//   accepted ─▶ deciding ─▶ attempting ─▶ joined ─▶ over
//                 │  ▲  ▲────────┘ this endpoint failed, another may not
//      news of    ▼  │
//      the mesh: waiting
//
// Until an attempt has joined it nothing is read from the application, so an endpoint that refuses or times out can be exchanged for
// another (`tried`). The application's own end is noticed meanwhile. Every failure is visible to it: its socket is reset
// without a byte, never half served.
import type { Ip } from '#lib/mesh/ip.ts';
import { resolveOutbound, withResolvedIp } from '#lib/mesh/outbound.ts';
import { outboundText } from '#lib/mesh/reason.ts';
import type { Workload, WorkloadUid } from '#lib/mesh/workload.ts';
import type { Socket, SocketOwner } from '#lib/net/socket.ts';
import type { NameWait } from '#lib/proxy/dns/name-resolver.ts';
import type { WorkloadFacts } from '#lib/proxy/worker/workload-facts.ts';
import type { ConnectionInfo } from '../control.ts';
import type { LiveConnection, Pod } from '../inpod/pod.ts';
import type { ResponseFlag } from '../telemetry/connection.ts';
import { partyLabels } from '../telemetry/labels.ts';
import { Ledger, type LedgerOwner } from '../worker/ledger.ts';
import { isKnown, type MeshWait } from '../worker/mesh-waits.ts';
import type { Attempt, AttemptOwner, Joined } from './attempt.ts';
import { choiceOf, type Leading, wayTo } from './way.ts';

const NONE_TRIED: readonly WorkloadUid[] = [];
const NOTHING_ASKED: readonly string[] = [];

export class OutboundConnection implements SocketOwner, AttemptOwner, LedgerOwner, LiveConnection {
  place = -1;
  readonly #pod: Pod;
  readonly #socket: Socket;
  readonly #ledger: Ledger;
  readonly #source: { readonly ip: Ip; readonly port: number };
  readonly #ip: Ip;
  readonly #port: number;
  readonly #traceparent: string;
  #protocol: ConnectionInfo['protocol'] = 'TCP';
  #tried: WorkloadUid[] | null = null;
  #waited = false;
  /** What the control plane was asked for on behalf of this connection. */
  #asked: readonly string[] = NOTHING_ASKED;
  #wait: MeshWait | NameWait | null = null;
  /** There was a choice, so that what failed may be exchanged for another. */
  #choice = false;
  #attempt: Attempt | null = null;
  #joined: Joined | null = null;
  /** Why the last attempt failed; told when no other endpoint is left. */
  #lastError = '';

  /** `socket` was accepted; it dialled `ip:port`. Call `begin` next. */
  constructor(pod: Pod, socket: Socket, source: { readonly ip: Ip; readonly port: number }, ip: Ip, port: number) {
    this.#pod = pod;
    this.#socket = socket;
    this.#source = source;
    this.#ip = ip;
    this.#port = port;
    this.#traceparent = pod.runtime.traceIds.next();
    this.#ledger = new Ledger(pod.runtime, 'outbound', true, this);
    pod.add(this);
  }

  begin(): void {
    const { explicitPort, ports } = this.#pod.runtime.settings;
    const own = (): readonly number[] => [ports.outbound, ports.inbound, ports.hbone, explicitPort];
    if (this.#ip.loopback && own().includes(this.#port)) this.#denyEarly('attempted recursive call to ourselves');
    else this.#decide();
  }

  // === the decision ===

  #decide(): void {
    const local = this.#pod.local();
    if (local === undefined) {
      this.#waitForLocal();
      return;
    }
    const { mesh, outbound, random } = this.#pod.runtime;
    const flow = {
      source: local.workload,
      ip: this.#ip,
      port: this.#port,
      tried: this.#tried ?? NONE_TRIED,
      waited: this.#waited,
    };
    const verdict = resolveOutbound(mesh, flow, outbound, random, this.#ledger.proof());
    const missing = verdict.kind === 'drop' || verdict.kind === 'passthrough' ? verdict.missing : '';
    if (verdict.kind === 'wait') this.#waitForAddress();
    else if (missing !== '' && this.#pod.runtime.settings.onDemand && !this.#asked.includes(missing))
      this.#ask(missing);
    else if (verdict.kind === 'drop') this.#noWay(outboundText(verdict));
    else this.#go(verdict, local);
  }

  #waitForLocal(): void {
    const { settings, waits } = this.#pod.runtime;
    this.#wait = waits.add(settings.recordWaitMs, (last) => {
      const known = this.#pod.local() !== undefined;
      if (known) this.#decide();
      else if (last) this.#denyEarly(this.#pod.unknownText());
      return known || last;
    });
  }

  #waitForAddress(): void {
    const { runtime } = this.#pod;
    const { network, unknownAddress } = runtime.settings;
    const name = `${network}/${this.#ip.text}`;
    runtime.toMain({ kind: 'wanted', name });
    this.#asked = [...this.#asked, name];
    const retry = (last: boolean): boolean => {
      const known =
        runtime.mesh.workloadByAddress(network, this.#ip) !== undefined ||
        runtime.mesh.serviceByAddress(network, this.#ip, this.#pod.info.namespace) !== undefined;
      if (!known && !last) return false;
      this.#waited = true;
      const outcome = known ? 'learnt' : unknownAddress.outcome === 'pass' ? 'passed' : 'refused';
      runtime.telemetry.count('ambit_unknown_address_total', { outcome });
      this.#decide();
      return true;
    };
    this.#wait = runtime.waits.add(unknownAddress.waitMs, retry, name);
  }

  /** Nothing is known of `name`, and nothing is known here but what was asked for: ask, and decide again. */
  #ask(name: string): void {
    const { runtime } = this.#pod;
    this.#asked = [...this.#asked, name];
    runtime.toMain({ kind: 'wanted', name });
    const retry = (last: boolean, absent: boolean): boolean => {
      if (!last && !isKnown(runtime.mesh, runtime.settings.network, name)) return false;
      // Without an answer nobody can say that it is not the mesh's.
      if (last && !absent) this.#denyEarly(`the control plane did not answer for ${name}`);
      else this.#decide();
      return true;
    };
    this.#wait = runtime.waits.add(runtime.settings.recordWaitMs, retry, name);
  }

  /** No endpoint (any more): the error of the last one tried tells more than that none is left. */
  #noWay(text: string): void {
    if (this.#lastError !== '') this.#fail('CONNECT', this.#lastError);
    else this.#denyEarly(text);
  }

  // === attempts ===

  #go(verdict: Leading, local: WorkloadFacts): void {
    this.#choice = choiceOf(verdict);
    const { ip, hostname } = verdict.target;
    if (ip === undefined) {
      this.#resolve(verdict, hostname, local);
      return;
    }
    const captured = {
      pod: this.#pod,
      socket: this.#socket,
      source: this.#source,
      sourceText: this.#source.ip.withPort(this.#source.port),
      traceparent: this.#traceparent,
      ledger: this.#ledger,
      local,
    };
    const { attempt, protocol } = wayTo(captured, this, verdict, ip);
    this.#protocol = protocol;
    this.#attempt = attempt;
    attempt.begin();
  }

  /** The endpoint is known by host name only: its address is asked for, now. */
  #resolve(verdict: Leading, hostname: string, local: WorkloadFacts): void {
    const { names, telemetry } = this.#pod.runtime;
    telemetry.count('istio_on_demand_dns_total', { ...partyLabels('source', local.party, local.uri), hostname });
    this.#wait = names.lookup(hostname, this.#ip.family, {
      onAddress: (ip) => {
        this.#wait = null;
        this.#go(withResolvedIp(verdict, ip), local);
      },
      onNoAddress: (reason) => {
        this.#wait = null;
        this.onAttemptFailed('CONNECT', reason, verdict.workload);
      },
    });
  }

  onJoined(joined: Joined): void {
    this.#joined = joined;
    // No other endpoint will be tried: what led here need not live as long as the connection.
    this.#attempt = null;
    this.#tried = null;
    this.#lastError = '';
  }

  onAttemptFailed(flag: ResponseFlag, error: string, who: Workload | undefined): void {
    if (this.#ledger.closed) return;
    const { settings, telemetry } = this.#pod.runtime;
    this.#attempt = null;
    this.#lastError = error;
    const attempts = (this.#tried?.length ?? 0) + 1;
    if (who === undefined || !this.#choice || attempts >= settings.connectAttempts) {
      this.#fail(flag, error);
      return;
    }
    this.#tried ??= [];
    this.#tried.push(who.uid);
    telemetry.count('ambit_connect_retries_total', { reporter: 'source' });
    this.#decide();
  }

  // === the application ===

  onSocket(socket: Socket): void {
    // Not joined yet. Only a reset matters; what it says and a FIN wait for the other side.
    if (socket.ending && socket.broken()) this.#fail('-', '');
  }

  // === endings ===

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
      protocol: this.#protocol,
      nodeLocal: record.security === 'node_local',
      ageMs: this.#ledger.ageMs,
    };
  }

  onOver(): void {
    this.#pod.delete(this);
  }

  #fail(flag: ResponseFlag, error: string): void {
    if (this.#ledger.closed) return;
    if (this.#ledger.record === null) {
      this.#denyEarly(error);
      return;
    }
    this.#release(error);
    this.#socket.abort();
    this.#ledger.close(flag, error);
  }

  #denyEarly(error: string): void {
    this.#release(error);
    this.#socket.abort();
    this.#ledger.denyEarly(this.#source.ip.withPort(this.#source.port), this.#ip.withPort(this.#port), error);
  }

  /** Lets go of whatever is being waited for. */
  #release(error: string): void {
    this.#wait?.cancel();
    this.#wait = null;
    this.#attempt?.cancel(error);
    this.#attempt = null;
  }
}
