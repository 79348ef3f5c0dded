// SPDX-License-Identifier: Apache-2.0
// A request on its way to a server: cluster, endpoint, connection, tries, and the answer on its way back.
//
//   waiting for a connection ⇄ sent ──▶ answered ──▶ over
//            └── back-off ◀──┘
import type { Arena } from '#lib/linux/arena.ts';
import { hostOf } from '#lib/mesh/http/request.ts';
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
import {
  BAD_REWRITE,
  flagOfCut,
  NO_MEMBER,
  noAnswer,
  noCluster,
  OVERFLOW,
  outcomeOf,
  STRANGE_HOST,
  timeout,
} from './failure.ts';
import type { Refusal } from './filter.ts';
import type { ForwardedRequest } from './forwarded-request.ts';
import { readGrpcStatus } from './grpc-messages.ts';
import { Mirroring } from './mirror.ts';
import { canBeWritten, requestEdits, tellAttempt } from './request-edits.ts';
import { responseEdits } from './response-edits.ts';
import { NO_HOSTS, type TriedRequest, Tries } from './tries.ts';
import { versionFor } from './version.ts';

export class Forwarding implements ClientUser, ClientWaiter, TriedRequest {
  readonly #exchange: ForwardedRequest;
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
  #mirrors: Mirroring | null = null;

  constructor(exchange: ForwardedRequest) {
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
    if (cluster.missing || !cluster.breaker.take('requests')) {
      this.#refuse(cluster.missing ? noCluster(verdict.rule.origin) : OVERFLOW);
      return;
    }
    this.#inCluster = true;
    cluster.budget?.requestBegins(exchange.begunAt);
    if (!canBeWritten(verdict, request)) {
      this.#refuse(BAD_REWRITE);
      return;
    }
    this.#retry = verdict.rule.retry ?? exchange.origin.door.retry;
    const edits = this.#prepare(verdict);
    if (verdict.mirrors.length > 0) this.#mirrors = Mirroring.begin(exchange, verdict.mirrors, edits);
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
    if (exchange.requestEnded) this.#limit();
    return edits;
  }

  #choose(cluster: Cluster, verdict: ForwardVerdict, again: boolean): void {
    if (cluster.dynamic) {
      const named = cluster.pickHost(hostOf(verdict.authority));
      if (named === undefined) this.#refuse(STRANGE_HOST);
      else this.#toMember(named);
      return;
    }
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
    if (perTry > 0) this.#tried().limitTry(perTry);
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
    this.#limit();
    if (!bodyless) this.#client?.end(trailers);
  }

  resumeResponse(): void {
    this.#client?.resumeResponse();
  }

  /** The request is over, whoever ended it. */
  end(): void {
    const { cluster } = this.#exchange;
    this.abandonTry();
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
    readGrpcStatus(exchange, head);
    if (cluster !== null && member !== null && cluster.watches) cluster.report(member, { kind: 'status', status });
    exchange.trace?.tryEnds(exchange, '', status);
    if (status >= 400 || exchange.grpcStatus > 0) {
      const grpcStatus = exchange.grpcStatus < 0 ? undefined : exchange.grpcStatus;
      const rateLimited = head.get('x-envoy-ratelimited') !== undefined;
      if (this.#later({ kind: 'response', status, grpcStatus, rateLimited })) return;
    }
    exchange.responded = true;
    if (exchange.origin.door.observer.wantsAnswer) exchange.answer = head.copy();
    this.#tries?.answered(false);
    exchange.status = status;
    exchange.details = 'via_upstream';
    exchange.store?.clear();
    exchange.stream.respond(head, responseEdits(exchange, this.#setCookie), ends);
  }

  onUpgrade(head: MessageHead): void {
    const exchange = this.#exchange;
    exchange.responded = this.#tunnel = true;
    this.#tries?.answered(true);
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
    readGrpcStatus(exchange, trailers);
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
    const tries = this.#tried();
    if (tries.movesOn(kind, reused)) {
      exchange.attempts--;
      this.#giveBack();
      this.#toMember(member!);
      return;
    }
    if (cluster !== null && member !== null) cluster.report(member, LOCAL_FAILURE);
    if (!tries.later(outcomeOf(kind))) this.#refuse(noAnswer(kind, cause, tries.exhausted));
  }

  // === TriedRequest ===

  get replayable(): boolean {
    const { bodyless, store } = this.#exchange;
    return bodyless || store?.overflowed !== true;
  }

  abandonTry(): void {
    this.#waitingAt?.cancel(this);
    this.#waitingAt = null;
    this.#client?.abort();
    this.#client = null;
    this.#giveBack();
  }

  tryAgain(): void {
    const { cluster, origin, verdict } = this.#exchange;
    if (cluster === null || verdict === null) {
      const { behind } = origin.door;
      if (behind.kind === 'workload') this.#toMember(behind.member);
      return;
    }
    cluster.refresh();
    this.#choose(cluster, verdict, true);
  }

  onTimeout(details: string): void {
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

  get #mayRetry(): boolean {
    return (this.#retry?.attempts ?? 0) > 0 && this.replayable;
  }

  #later(outcome: TryOutcome): boolean {
    return this.#retry !== null && this.#tried().later(outcome);
  }

  /** Most requests need none. */
  #tried(): Tries {
    this.#tries ??= new Tries(this, this.#exchange, this.#retry);
    return this.#tries;
  }

  // === endings ===

  #refuse(refusal: Refusal): void {
    this.abandonTry();
    this.#exchange.refuse(refusal);
  }

  #measure(): void {
    const exchange = this.#exchange;
    exchange.upstreamMs = Math.max(0, Math.round(exchange.runtime.loop.now - this.#sentAt));
  }

  /** The member's place among those under way is given back. */
  #giveBack(): void {
    if (this.#counted) this.#exchange.member?.count(-1);
    this.#counted = false;
  }

  #limit(): void {
    const timeoutMs = this.#exchange.verdict?.rule.timeoutMs ?? 0;
    if (timeoutMs > 0) this.#tried().limit(timeoutMs);
  }
}
