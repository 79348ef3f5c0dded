// SPDX-License-Identifier: Apache-2.0
// A request on its way to a server: cluster, endpoint, connection, tries, and the answer on its way back.
//
//   waiting for a connection ⇄ sent ──▶ answered ──▶ over
//            └── back-off ◀──┘
import type { Arena } from '#lib/linux/arena.ts';
import type { Retry } from '#lib/mesh/http/route-table.ts';
import type { ForwardVerdict } from '#lib/mesh/http/route-verdict.ts';
import { affinityOf } from '#lib/mesh/upstream/affinity.ts';
import { ANY_HOST } from '#lib/mesh/upstream/balancer.ts';
import { LOCAL_FAILURE } from '#lib/mesh/upstream/outlier.ts';
import type { TryOutcome } from '#lib/mesh/upstream/retry.ts';
import type { ClientStream, ClientUser, FailureKind, Trailers } from '#lib/net/http/exchange.ts';
import type { ClientWaiter, Upstream } from '#lib/net/http/upstream.ts';
import type { HeadEdits } from '#lib/wire/http/edits.ts';
import type { MessageHead } from '#lib/wire/http/message.ts';
import type { Cluster } from '../upstream/cluster.ts';
import type { Member } from '../upstream/member.ts';
import { BodyStore } from './body-store.ts';
import { type DeadlineOwner, Deadlines } from './deadlines.ts';
import type { Exchange } from './exchange.ts';
import { BAD_REWRITE, flagOfCut, NO_MEMBER, noAnswer, noCluster, OVERFLOW, outcomeOf, timeout } from './failure.ts';
import type { Refusal } from './filter.ts';
import { Mirroring } from './mirror.ts';
import { requestEdits, tellAttempt } from './request-edits.ts';
import { responseEdits } from './response-edits.ts';
import { NO_HOSTS, Tries } from './tries.ts';
import { versionFor } from './version.ts';

const NO_TARGET = /[^!-~\x80-\xff]|#/;

/** Whether a target is not the client's own, which was read strictly, and cannot be written. */
function isUnfit(text: string, own: string): boolean {
  return text !== own && NO_TARGET.test(text);
}

export class Forwarding implements ClientUser, ClientWaiter, DeadlineOwner {
  readonly #exchange: Exchange;
  #retry: Retry | null = null;
  #edits: HeadEdits | null = null;
  #client: ClientStream | null = null;
  #waitingAt: Upstream | null = null;
  #tries: Tries | null = null;
  /** Of the key of consistent hashing. */
  #hash: number | undefined;
  #setCookie = '';
  #tunnel = false;
  #sentAt = 0;
  /** Counted among the requests of the member, and of the cluster. */
  #counted = false;
  #inCluster = false;
  #clocks: Deadlines | null = null;
  #mirrors: Mirroring | null = null;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
  }

  // === towards the server ===

  toWorkload(member: Member): void {
    const exchange = this.#exchange;
    this.#retry = exchange.origin.door.retry;
    this.#prepare(null);
    this.#toMember(member);
  }

  toCluster(verdict: ForwardVerdict): void {
    const exchange = this.#exchange;
    const { request, runtime } = exchange;
    const cluster = runtime.clusters.of(verdict.target);
    exchange.cluster = cluster;
    if (cluster.missing) {
      this.#refuse(noCluster(verdict.rule.origin));
      return;
    }
    if (!cluster.breaker.take('requests')) {
      this.#refuse(OVERFLOW);
      return;
    }
    this.#inCluster = true;
    cluster.budget?.requestBegins(exchange.begunAt);
    if (isUnfit(verdict.path, request.path) || isUnfit(verdict.authority, request.authority)) {
      this.#refuse(BAD_REWRITE);
      return;
    }
    this.#retry = verdict.rule.retry ?? exchange.origin.door.retry;
    const edits = this.#prepare(verdict);
    if (verdict.mirrors.length > 0) this.#mirror(verdict, edits);
    const hashKey = cluster.settings.loadBalancer?.hash;
    if (hashKey !== undefined) {
      const { hash, setCookie } = affinityOf(hashKey, request, runtime.random);
      this.#hash = hash;
      this.#setCookie = setCookie;
    }
    this.#choose(cluster, verdict, false);
  }

  #prepare(verdict: ForwardVerdict | null): HeadEdits {
    const exchange = this.#exchange;
    const edits = requestEdits(exchange, verdict);
    this.#edits = edits;
    // From now on the head is read once the bytes it came in are gone.
    exchange.stream.head.keep();
    if (exchange.requestEnded) this.#armRoute();
    return edits;
  }

  #mirror({ mirrors }: ForwardVerdict, edits: HeadEdits): void {
    const { bodyless, requestEnded, runtime, store, stream, trailers } = this.#exchange;
    const mirroring = Mirroring.begin(runtime, mirrors, stream.head, edits, bodyless);
    this.#mirrors = mirroring;
    // What came while a filter had the request wait.
    for (const chunk of store?.chunks ?? []) mirroring.body(chunk, 0, chunk.length);
    if (requestEnded) mirroring.end(trailers);
  }

  #choose(cluster: Cluster, verdict: ForwardVerdict, again: boolean): void {
    const token = verdict.session?.token ?? '';
    const plain = !again && this.#hash === undefined && token === '';
    const remote = again && this.#retry?.remoteLocalities === true;
    const tried = this.#tries?.avoided ?? NO_HOSTS;
    const member = cluster.pick(plain ? ANY_HOST : { tried, hash: this.#hash, sticky: token, remote });
    if (member === undefined) this.#refuse(NO_MEMBER);
    else this.#toMember(member);
  }

  #toMember(member: Member): void {
    const exchange = this.#exchange;
    const edits = this.#edits!;
    exchange.member = member;
    member.count(1);
    this.#counted = true;
    exchange.attempts++;
    if (exchange.attempts > 1) tellAttempt(exchange, edits, exchange.attempts);
    exchange.trace?.tryBegins(exchange, edits);
    const upstream = member.upstream(versionFor(exchange.stream.head, exchange.cluster), exchange.origin);
    this.#waitingAt = upstream;
    const perTry = this.#retry?.perTryTimeoutMs ?? 0;
    if (perTry > 0) this.#armed().armTry(perTry);
    upstream.acquire(this);
  }

  onClient(client: ClientStream): void {
    const exchange = this.#exchange;
    const { bodyless, store, stream } = exchange;
    this.#waitingAt = null;
    this.#client = client;
    exchange.localAddress = client.localAddress;
    this.#sentAt = exchange.runtime.loop.now;
    client.send(this, stream.head, this.#edits!, bodyless);
    if (this.#client !== client || bodyless) return;
    if (store !== null) {
      for (const chunk of store.chunks) client.body(null, chunk, 0, chunk.length);
      if (store.full && !exchange.requestEnded) stream.resumeRequest();
      if (!this.#mayRetry) store.clear();
    }
    if (exchange.requestEnded) client.end(exchange.trailers);
  }

  onNoClient(kind: FailureKind, cause: string): void {
    this.#waitingAt = null;
    this.onFailure(kind, cause, false);
  }

  // === of the exchange ===

  body(arena: Arena | null, bytes: Buffer, start: number, end: number): void {
    const exchange = this.#exchange;
    this.#mirrors?.body(bytes, start, end);
    const client = this.#client;
    if (client === null) {
      exchange.hold(bytes, start, end);
      return;
    }
    if (!this.#tunnel && !exchange.responded && this.#mayRetry) {
      exchange.store ??= new BodyStore();
      exchange.store.keep(bytes, start, end);
    }
    if (!client.body(arena, bytes, start, end)) exchange.stream.pauseRequest();
  }

  requestEnded(): void {
    if (this.#tunnel) {
      this.#client?.end(null);
      return;
    }
    const { bodyless, trailers } = this.#exchange;
    this.#mirrors?.end(trailers);
    this.#armRoute();
    if (!bodyless) this.#client?.end(trailers);
  }

  resumeResponse(): void {
    this.#client?.resumeResponse();
  }

  /** The request is over, whoever ended it. */
  end(): void {
    const { cluster } = this.#exchange;
    this.#leave();
    this.#clocks?.disarm();
    this.#tries?.end();
    if (!this.#inCluster) return;
    cluster!.breaker.give('requests');
    cluster!.budget?.requestEnds();
  }

  // === ClientUser ===

  onInterim(head: MessageHead): void {
    this.#exchange.stream.interim(head);
  }

  onResponse(head: MessageHead, ends: boolean): void {
    const exchange = this.#exchange;
    const { cluster, member } = exchange;
    const { status } = head;
    this.#measure();
    if (exchange.grpc) {
      const text = head.get('grpc-status');
      if (text !== undefined) exchange.grpcStatus = Number(text);
    }
    if (cluster !== null && member !== null && cluster.watches) cluster.report(member, { kind: 'status', status });
    exchange.trace?.tryEnds(exchange, '', status);
    if (status >= 400 || exchange.grpcStatus > 0) {
      const grpcStatus = exchange.grpcStatus < 0 ? undefined : exchange.grpcStatus;
      const rateLimited = head.get('x-envoy-ratelimited') !== undefined;
      if (this.#retryLater({ kind: 'response', status, grpcStatus, rateLimited })) return;
    }
    exchange.responded = true;
    if (exchange.origin.door.observer.wantsAnswer) exchange.answer = head.copy();
    this.#clocks?.disarmTry();
    exchange.status = status;
    exchange.details = 'via_upstream';
    exchange.store?.clear();
    exchange.stream.respond(head, responseEdits(exchange, this.#setCookie), ends);
  }

  onUpgrade(head: MessageHead): void {
    const exchange = this.#exchange;
    exchange.responded = this.#tunnel = true;
    this.#clocks?.disarmTry();
    this.#clocks?.disarmRoute();
    exchange.status = head.status;
    exchange.details = 'via_upstream';
    this.#measure();
    exchange.trace?.tryEnds(exchange, '', head.status);
    exchange.lasts();
    exchange.stream.upgrade(head, responseEdits(exchange, this.#setCookie));
  }

  onResponseBody(arena: Arena | null, bytes: Buffer, start: number, end: number): void {
    const exchange = this.#exchange;
    if (exchange.messages !== null) exchange.messages.responseBytes(exchange, bytes, start, end);
    if (!exchange.stream.body(arena, bytes, start, end)) this.#client?.pauseResponse();
  }

  onResponseEnd(trailers: Trailers): void {
    const exchange = this.#exchange;
    if (exchange.over) return;
    this.#client = null;
    this.#giveBack();
    if (exchange.grpc) {
      const text = trailers?.get('grpc-status');
      if (text !== undefined) exchange.grpcStatus = Number(text);
    }
    exchange.stream.end(trailers);
    exchange.finish();
  }

  onRequestRoom(): void {
    this.#exchange.stream.resumeRequest();
  }

  onFailure(kind: FailureKind, cause: string, reused: boolean): void {
    const exchange = this.#exchange;
    if (exchange.over) return;
    this.#client = null;
    exchange.failure = cause;
    if (exchange.responded) {
      exchange.flags = flagOfCut(kind);
      exchange.details = 'upstream_reset_after_response_started';
      exchange.stream.abort();
      exchange.finish();
      return;
    }
    exchange.trace?.tryEnds(exchange, cause, 0);
    if (kind === 'overflow') {
      this.#refuse(OVERFLOW);
      return;
    }
    const { cluster, member } = exchange;
    this.#tries ??= new Tries(exchange);
    if (this.#replayable && this.#tries.movesOn(kind, reused)) {
      exchange.attempts--;
      this.#giveBack();
      this.#toMember(member!);
      return;
    }
    if (cluster !== null && member !== null) cluster.report(member, LOCAL_FAILURE);
    if (!this.#retryLater(outcomeOf(kind))) this.#refuse(noAnswer(kind, cause, this.#tries.exhausted));
  }

  // === tries ===

  get #mayRetry(): boolean {
    return (this.#retry?.attempts ?? 0) > 0 && this.#replayable;
  }

  get #replayable(): boolean {
    const { bodyless, store } = this.#exchange;
    return bodyless || store?.overflowed !== true;
  }

  /** Sends the request once more, after a while, if the rule and the budgets have it so. */
  #retryLater(outcome: TryOutcome): boolean {
    const retry = this.#retry;
    if (retry === null || !this.#replayable) return false;
    const exchange = this.#exchange;
    this.#tries ??= new Tries(exchange);
    const delayMs = this.#tries.next(outcome, retry);
    if (delayMs < 0) return false;
    this.#client?.abort();
    this.#client = null;
    this.#giveBack();
    this.#clocks?.disarmTry();
    exchange.grpcStatus = -1;
    this.#armed().armPause(delayMs);
    return true;
  }

  onPauseOver(): void {
    const { cluster, origin, verdict } = this.#exchange;
    if (cluster === null || verdict === null) {
      const { behind } = origin.door;
      if (behind.kind === 'workload') this.#toMember(behind.member);
      return;
    }
    cluster.refresh();
    this.#choose(cluster, verdict, true);
  }

  onRouteTimeout(): void {
    this.#timedOut('response_timeout');
  }

  onTryTimeout(): void {
    const exchange = this.#exchange;
    const { cluster, member, responded } = exchange;
    if (responded) return;
    this.#waitingAt?.cancel(this);
    this.#waitingAt = null;
    exchange.trace?.tryEnds(exchange, 'per try timeout', 0);
    if (cluster !== null && member !== null) cluster.report(member, LOCAL_FAILURE);
    if (!this.#retryLater({ kind: 'per-try-timeout' })) this.#timedOut('upstream_per_try_timeout');
  }

  #timedOut(details: string): void {
    const exchange = this.#exchange;
    if (!exchange.responded) {
      this.#refuse(timeout(details));
      return;
    }
    exchange.flags = 'UT';
    exchange.details = details;
    exchange.stream.abort();
    exchange.finish();
  }

  // === endings ===

  #refuse(refusal: Refusal): void {
    this.#leave();
    this.#exchange.refuse(refusal);
  }

  #measure(): void {
    const exchange = this.#exchange;
    exchange.upstreamMs = Math.max(0, Math.round(exchange.runtime.loop.now - this.#sentAt));
  }

  #leave(): void {
    this.#waitingAt?.cancel(this);
    this.#waitingAt = null;
    this.#client?.abort();
    this.#client = null;
    this.#giveBack();
  }

  /** The member's place among those under way is given back. */
  #giveBack(): void {
    if (this.#counted) this.#exchange.member?.count(-1);
    this.#counted = false;
  }

  #armRoute(): void {
    const timeoutMs = this.#exchange.verdict?.rule.timeoutMs ?? 0;
    if (timeoutMs > 0) this.#armed().armRoute(timeoutMs);
  }

  /** Most requests need no clock. */
  #armed(): Deadlines {
    this.#clocks ??= new Deadlines(this.#exchange.runtime.loop, this);
    return this.#clocks;
  }
}
