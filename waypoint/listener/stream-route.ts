// SPDX-License-Identifier: Apache-2.0
// A stream that is no HTTP: judged by what policies ask of connections, led to an endpoint, and passed on byte by byte.

import type { Arena } from '#lib/linux/arena.ts';
import type { InboundFlow } from '#lib/mesh/flow.ts';
import type { AccessPolicy, RequestAccessVerdict } from '#lib/mesh/http/access-policy.ts';
import { authorizeRequest, customPolicies } from '#lib/mesh/http/authorize-request.ts';
import type { Target } from '#lib/mesh/http/route-table.ts';
import { routeTcp, routeTls } from '#lib/mesh/http/stream-route.ts';
import { DEFAULT_POOL } from '#lib/mesh/http/traffic-policy.ts';
import { NO_PROOF } from '#lib/mesh/proof.ts';
import { ANY_HOST } from '#lib/mesh/upstream/balancer.ts';
import { type Link, type LinkOwner, NOBODY } from '#lib/net/http/link.ts';
import { Relay, type RelayOwner } from '#lib/net/http/relay.ts';
import type { Dialling, DialOutcome } from '#lib/net/http/upstream.ts';
import type { Admitted } from '#lib/proxy/worker/live-inbound.ts';
import { MAX_HELLO, parseClientHello } from '#lib/wire/client-hello.ts';
import { Inquiry, type InquiryOwner } from '../authoriser/inquiry.ts';
import { type Subject, streamSubject } from '../authoriser/subject.ts';
import { countSilent } from '../path/policy-filter.ts';
import type { RequestRecord } from '../record/request.ts';
import type { Cluster } from '../upstream/cluster.ts';
import type { Member } from '../upstream/member.ts';
import type { Runtime } from '../worker/runtime.ts';
import type { Arrived } from './arrived.ts';
import type { Live } from './connections.ts';
import { streamRecord } from './stream-record.ts';

/** Endpoints tried for one stream, as long as none has been reached. */
const ATTEMPTS = 3;
const IDLE = 'idle';
/** Ends that logs and metrics tell as they are. */
const OWN_ENDS: ReadonlySet<string> = new Set(['', 'rbac_deny_close', 'DT']);

export class StreamRoute implements DialOutcome, RelayOwner, LinkOwner, Live, InquiryOwner {
  place = -1;
  readonly #runtime: Runtime;
  readonly #arrived: Arrived;
  readonly #admitted: Admitted = { place: -1, judgeAgain: () => this.#judgeAgain() };
  readonly #link: Link;
  /** A route may ask for the server name of a TLS client. */
  #listening = false;
  #serverName = '';
  /** Monotonic and wall clock. */
  readonly #begunAt: number;
  readonly #startedAt: number;
  #access: RequestAccessVerdict | null = null;
  /** What external authorisers said. */
  #checked = '';
  #localAddress = '';
  /** Drawn once for the whole stream. */
  #chosen: Target | undefined;
  #member: Member | null = null;
  /** Where it was counted among the connections. */
  #cluster: Cluster | null = null;
  /** Monotonic: when it was joined, and when octets last passed; how many had by then. */
  #joinedAt = 0;
  #movedAt = 0;
  #moved = 0;
  #dialling: Dialling | null = null;
  #relay: Relay | null = null;
  #inquiry: Inquiry | null = null;
  /** Why the endpoint tried last was not reached, and which it was. */
  #cause = '';
  #tried: readonly Member[] = [];
  #first: Buffer | null = null;
  #opened = false;
  #over = false;

  constructor(runtime: Runtime, arrived: Arrived, link: Link) {
    this.#runtime = runtime;
    this.#arrived = arrived;
    this.#link = link;
    this.#begunAt = runtime.loop.now;
    this.#startedAt = runtime.now();
  }

  begin(): void {
    const { origin } = this.#arrived;
    this.#runtime.connections.add(this);
    this.#link.owner = this;
    this.#link.pause();
    const { access, settings } = origin.door;
    const custom = access.custom.tcp;
    const asked = custom.length === 0 ? custom : customPolicies(custom, this.#flow(), NO_PROOF);
    if (asked.length === 0) {
      this.onPassed();
      return;
    }
    this.#inquiry = new Inquiry(this.#runtime, settings.providers, asked, this);
    this.#inquiry.begin();
  }

  // === InquiryOwner ===

  subject(): Subject {
    const { now, settings } = this.#runtime;
    return streamSubject(this.#arrived.origin, settings.identity, now());
  }

  onAllowed(): void {}

  onRefused(policy: AccessPolicy): void {
    const told = { policy: policy.key, ext_authz: this.#inquiry?.told, source: this.#arrived.origin.sourceText };
    this.#runtime.telemetry.message('warn', 'a stream was not let in by an external authoriser', told);
    this.#checked = this.#inquiry?.told ?? '';
    this.#end('UAEX');
  }

  /** No authoriser stands in its way: the policies that this proxy can judge itself. */
  onPassed(): void {
    this.#checked = this.#inquiry?.told ?? '';
    this.#inquiry = null;
    const { origin } = this.#arrived;
    this.#runtime.liveInbound.add(this.#admitted);
    const verdict = authorizeRequest(origin.door.access.tcp, this.#flow(), NO_PROOF, true);
    this.#access = verdict;
    if (verdict.audit.length + verdict.dryRun.length > 0) countSilent(this.#runtime, verdict);
    if (!verdict.allow) this.#end('rbac_deny_close');
    else if ((origin.door.table?.table.tls.length ?? 0) === 0) this.#go();
    else {
      this.#listening = true;
      this.#link.resume();
    }
  }

  // === DialOutcome ===

  onLink(link: Link, localAddress: string): void {
    this.#dialling = null;
    if (this.#over) {
      link.abort();
      return;
    }
    this.#opened = true;
    this.#localAddress = localAddress;
    this.#runtime.telemetry.stream(this.#arrived.origin, this.#member, 'opened', 0, 0, '');
    const { cork } = this.#runtime.bench;
    if (this.#first !== null) cork.write(link, this.#first, 0, this.#first.length);
    cork.flushOf(link);
    this.#relay = new Relay(this.#link, link, this, this.#first?.length ?? 0);
    this.#first = null;
    this.#joinedAt = this.#movedAt = this.#runtime.loop.now;
  }

  onNoLink(cause: string): void {
    this.#dialling = null;
    if (this.#over) return;
    this.#cause = `${this.#member?.address ?? ''}: ${cause}`;
    this.#release();
    if (this.#tried.length < ATTEMPTS) this.#dial();
    else this.#unreached('UF');
  }

  onRelayEnd(error: string, received: number, sent: number): void {
    this.#relay = null;
    this.#finish(OWN_ENDS.has(error) ? error : error === IDLE ? '' : 'UR', received, sent);
  }

  // === LinkOwner, until it is joined ===

  /** What was read to find out what it speaks. */
  onBytes(link: Link, arena: Arena, start: number, end: number): void {
    const bytes = arena.bytes.subarray(start, end);
    this.#first = this.#first === null ? Buffer.from(bytes) : Buffer.concat([this.#first, bytes]);
    if (this.#listening) this.#hear(link, this.#first);
  }

  onDrained(): void {}

  onFin(): void {}

  onBroken(): void {
    this.#inquiry?.cancel();
    this.#dialling?.cancel();
    this.#finish('DC', 0, 0);
  }

  // === Admitted ===

  #judgeAgain(): void {
    const { door } = this.#arrived.origin;
    door.refresh();
    if (this.#over) return;
    this.#access = authorizeRequest(door.access.tcp, this.#flow(), NO_PROOF, true);
    if (this.#access.allow) return;
    if (this.#relay !== null) this.#relay.kill('rbac_deny_close');
    else this.#end('rbac_deny_close');
  }

  // === Live ===

  drain(): void {}

  kill(): void {
    if (this.#relay !== null) this.#relay.kill('drained');
    else this.#end('DC');
  }

  /** Ends what has lasted, or stood still, for as long as it may. */
  sweep(now: number): void {
    const relay = this.#relay;
    if (relay === null) return;
    if (relay.moved !== this.#moved) {
      this.#moved = relay.moved;
      this.#movedAt = now;
    }
    const { maxConnectionDurationMs, tcpIdleTimeoutMs } = this.#cluster?.settings.pool ?? DEFAULT_POOL;
    if (maxConnectionDurationMs > 0 && now - this.#joinedAt >= maxConnectionDurationMs) relay.kill('DT');
    else if (tcpIdleTimeoutMs > 0 && now - this.#movedAt >= tcpIdleTimeoutMs) relay.kill(IDLE);
  }

  // === inside ===

  #flow(): InboundFlow {
    const { destinationIp, door, identity, sourceIp } = this.#arrived.origin;
    return { sourceIp, identity, destinationIp, destinationPort: door.port };
  }

  /** The client's first words: whom it wants, if it speaks TLS. */
  #hear(link: Link, first: Buffer): void {
    const hello = parseClientHello(first);
    if (hello.kind === 'incomplete' && first.length < MAX_HELLO) return;
    this.#listening = false;
    link.pause();
    if (hello.kind === 'hello') this.#serverName = hello.hello.serverName;
    this.#go();
  }

  #go(): void {
    this.#chosen = this.#target();
    const cluster = this.#chosen === undefined ? null : this.#runtime.clusters.of(this.#chosen);
    if (cluster?.breaker.take('connections') === false) {
      this.#end('UO');
      return;
    }
    this.#cluster = cluster;
    this.#dial();
  }

  #dial(): void {
    const { door } = this.#arrived.origin;
    const member = door.behind.kind === 'workload' ? door.behind.member : this.#pick();
    if (member === undefined || this.#tried.includes(member)) {
      // Who was tried and could not be reached is the reason, not that there is nobody else.
      if (this.#cause === '') this.#end('UH');
      else this.#unreached('UF');
      return;
    }
    this.#tried = [...this.#tried, member];
    this.#member = member;
    member.count(1);
    const dialling = member.dialStream(this, this.#arrived.origin);
    if (this.#relay === null && !this.#over) this.#dialling = dialling;
  }

  #unreached(flags: string): void {
    const { sourceText: source, destinationText: destination } = this.#arrived.origin;
    const told = { source, destination, cause: this.#cause };
    this.#runtime.telemetry.message('warn', 'a stream reached no endpoint', told);
    this.#end(flags);
  }

  #pick(): Member | undefined {
    const target = this.#chosen;
    if (target === undefined) return undefined;
    const tried = this.#tried.flatMap(({ host }) => (host === null ? [] : [host]));
    return this.#runtime.clusters.of(target).pick({ ...ANY_HOST, tried });
  }

  /** What a route for its server name or destination says, or the service itself; undefined: nobody is meant. */
  #target(): Target | undefined {
    const { origin } = this.#arrived;
    const { behind, table } = origin.door;
    if (table !== undefined && table.table.tls.length + table.table.tcp.length > 0) {
      const request = {
        port: origin.door.port,
        destinationIp: origin.destinationIp,
        namespace: origin.identity?.namespace,
        serverName: this.#serverName,
      };
      const { random } = this.#runtime;
      const verdict =
        routeTls(table.table, request, random, NO_PROOF) ?? routeTcp(table.table, request, random, NO_PROOF);
      if (verdict !== undefined) return verdict.kind === 'forward' ? verdict.target : undefined;
      if (behind.kind === 'listener') return undefined;
    }
    return behind.kind === 'service' ? { service: behind.service.key, port: behind.port, subset: '' } : undefined;
  }

  #record(flags: string, received: number, sent: number): RequestRecord {
    return streamRecord(this.#runtime, this.#arrived.origin, {
      ...{ begunAt: this.#begunAt, startedAt: this.#startedAt, access: this.#access, checked: this.#checked },
      ...{ cluster: this.#cluster, member: this.#member, serverName: this.#serverName },
      ...{ attempts: this.#tried.length, localAddress: this.#localAddress },
      ...{ flags, failure: this.#opened ? '' : this.#cause, received, sent },
    });
  }

  #release(): void {
    this.#member?.count(-1);
    this.#member = null;
  }

  #end(flags: string): void {
    if (this.#over) return;
    this.#link.owner = NOBODY;
    this.#link.abort();
    this.#inquiry?.cancel();
    this.#dialling?.cancel();
    this.#finish(flags, 0, 0);
  }

  #finish(flags: string, received: number, sent: number): void {
    if (this.#over) return;
    this.#over = true;
    const { telemetry, connections } = this.#runtime;
    const { origin, onEnd } = this.#arrived;
    if (this.#opened) telemetry.stream(origin, this.#member, 'closed', received, sent, flags);
    else telemetry.count('ambit_streams_refused_total', { reason: flags });
    telemetry.streamEnded(origin, () => this.#record(flags, received, sent));
    this.#release();
    this.#cluster?.breaker.give('connections');
    this.#runtime.liveInbound.delete(this.#admitted);
    connections.delete(this);
    onEnd();
  }
}
