// SPDX-License-Identifier: Apache-2.0
// One request on its way through: policy, route, endpoint, tries, answer; and one record at its end.
//
//   judged ──▶ (delayed) ──▶ waiting for a connection ⇄ sent ──▶ answered ──▶ over
//                                      └── back-off ◀──┘

import type { Arena } from '#lib/linux/arena.ts';
import type { TimerId, TimerTarget } from '#lib/loop/timer-wheel.ts';
import { DENIAL_BODY, DENIAL_STATUS, denialDetails, type RequestAccessVerdict } from '#lib/mesh/http/access-policy.ts';
import { refusalDetails } from '#lib/mesh/http/authenticate-request.ts';
import { authorizeRequest, requestFlow } from '#lib/mesh/http/authorize-request.ts';
import { normalisePath } from '#lib/mesh/http/path-normalise.ts';
import { route } from '#lib/mesh/http/route.ts';
import type { HeaderChanges, Retry } from '#lib/mesh/http/route-table.ts';
import {
  detailsOf,
  type FaultVerdict,
  type ForwardVerdict,
  flagOf,
  type RouteVerdict,
} from '#lib/mesh/http/route-verdict.ts';
import { NO_PROOF } from '#lib/mesh/proof.ts';
import { affinityOf, sessionHeader } from '#lib/mesh/upstream/affinity.ts';
import { ANY_HOST } from '#lib/mesh/upstream/balancer.ts';
import { CircuitBreaker } from '#lib/mesh/upstream/breaker.ts';
import type { Host } from '#lib/mesh/upstream/host.ts';
import { LOCAL_FAILURE } from '#lib/mesh/upstream/outlier.ts';
import { isIdempotent, RetryState, type TryOutcome } from '#lib/mesh/upstream/retry.ts';
import type {
  ClientStream,
  ClientUser,
  FailureKind,
  ServerStream,
  ServerUser,
  Trailers,
} from '#lib/net/http/exchange.ts';
import { trailerBlock } from '#lib/net/http/trailers.ts';
import type { ClientWaiter, Upstream } from '#lib/net/http/upstream.ts';
import { HeadEdits } from '#lib/wire/http/edits.ts';
import type { MessageHead } from '#lib/wire/http/message.ts';

import type { Cluster } from '../upstream/cluster.ts';
import type { Member } from '../upstream/member.ts';
import type { Runtime } from '../worker/runtime.ts';
import { BodyStore } from './body-store.ts';
import { applyChanges } from './header-changes.ts';
import { Mirroring } from './mirror.ts';
import type { Origin } from './origin.ts';
import { isGrpc, type Reply, sendReply } from './reply.ts';
import { Request } from './request.ts';

/** A kept connection may end just when it is used again; so often a request moves to another for that alone. */
const STALE_TRIES = 3;
const NO_HOSTS: readonly Host[] = [];
/** For what is tried again without a cluster. */
const UNBOUNDED = new CircuitBreaker();
const NO_TARGET = /[^!-~\x80-\xff]|#/;
const NO_CHANGES: readonly HeaderChanges[] = [];

export class Exchange implements ServerUser, ClientUser, ClientWaiter, TimerTarget {
  readonly origin: Origin;
  readonly stream: ServerStream;
  /** Wall clock at the begin, ms. */
  readonly startedAt: number;
  /** Monotonic. */
  readonly begunAt: number;
  request: Request;
  verdict: ForwardVerdict | null = null;
  access: RequestAccessVerdict | null = null;
  /** What the client saw; 0 while there is nothing. */
  status = 0;
  /** -1 while there is none. */
  grpcStatus = -1;
  grpc = false;
  flags = '';
  details = '';
  failure = '';
  member: Member | null = null;
  cluster: Cluster | null = null;
  requestId = '';
  localAddress = '';
  /** Ms from the request's last byte sent to the answer's first; -1 without one. */
  upstreamMs = -1;
  attempts = 0;
  readonly #runtime: Runtime;
  #retry: Retry | null = null;
  #edits: HeadEdits | null = null;
  #client: ClientStream | null = null;
  #waitingAt: Upstream | null = null;
  #tried: readonly Host[] = NO_HOSTS;
  #retries: RetryState | null = null;
  /** Of the key of consistent hashing. */
  #hash: number | undefined;
  #setCookie = '';
  #stale = 0;
  /** The last try was the last that the rule allows. */
  #exhausted = false;
  #store: BodyStore | null = null;
  #bodyless = false;
  #requestEnded = false;
  #trailers: Trailers = null;
  #responded = false;
  #tunnel = false;
  #sentAt = 0;
  #over = false;
  /** Counted among the requests of `member`, and of `cluster`. */
  #counted = false;
  #inCluster = false;
  #routeTimer: TimerId = 0;
  #tryTimer: TimerId = 0;
  #pauseTimer: TimerId = 0;
  #afterPause: RouteVerdict | null = null;
  #mirrors: Mirroring | null = null;

  constructor(runtime: Runtime, origin: Origin, stream: ServerStream) {
    this.#runtime = runtime;
    this.origin = origin;
    this.stream = stream;
    this.begunAt = runtime.loop.now;
    this.startedAt = runtime.telemetry.wantsTime ? runtime.now() : 0;
    this.request = new Request(stream.head, '', origin);
  }

  /** Judges the request and sets it going. */
  begin(): void {
    const { head } = this.stream;
    const { door } = this.origin;
    door.refresh();
    const raw = head.path;
    const path = normalisePath(raw, door.settings.pathNormalisation);
    this.request = new Request(head, path ?? raw, this.origin);
    this.grpc = isGrpc(head);
    const { h1 } = head;
    this.#bodyless = h1 === null ? head.ended : h1.contentLength <= 0 && !h1.chunked;
    if (path === undefined) this.#reply({ status: 400, body: '' }, '', 'path_normalization_failed');
    else if (this.#isWhoItSays() && this.#mayPass()) this.#route();
  }

  /** A token that is there must be good; what it says goes on as the rules word it. */
  #isWhoItSays(): boolean {
    const { authenticator } = this.origin.door;
    if (authenticator === undefined) return true;
    const verdict = authenticator.authenticate(this.request, this.#runtime.now() / 1000);
    if (verdict.kind === 'refuse') {
      const headers = [{ name: 'www-authenticate', value: verdict.wwwAuthenticate }];
      this.#reply({ status: verdict.status, body: verdict.reason, headers }, '', refusalDetails(verdict.reason));
      return false;
    }
    this.request.claims = verdict.claims;
    this.request.identified = verdict.requestHeaders;
    return true;
  }

  #mayPass(): boolean {
    const policies = this.origin.door.access.http;
    if (policies.length === 0) return true;
    const verdict = authorizeRequest(policies, requestFlow(this.request), NO_PROOF);
    this.access = verdict;
    if (verdict.allow) return true;
    this.#reply({ status: DENIAL_STATUS, body: DENIAL_BODY }, '', denialDetails(verdict));
    return false;
  }

  #route(): void {
    const { table, behind } = this.origin.door;
    if (behind.kind === 'workload') {
      this.#retry = this.origin.door.retry;
      this.#prepare(null);
      this.#toMember(behind.member);
      return;
    }
    if (table === undefined) {
      this.#reply({ status: 404, body: '' }, 'NR', 'route_not_found');
      return;
    }
    const verdict = route(table, this.request, this.#runtime.random, NO_PROOF, this.#runtime.now());
    if (verdict.fault === undefined) this.#act(verdict);
    else this.#injected(verdict, verdict.fault);
  }

  #injected(verdict: RouteVerdict, fault: FaultVerdict): void {
    if (fault.delayMs > 0) {
      this.flags = 'DI';
      this.stream.head.keep();
      this.#afterPause = verdict;
      this.#pauseTimer = this.#runtime.loop.after(fault.delayMs, this);
    } else this.#afterDelay(verdict, fault);
  }

  #afterDelay(verdict: RouteVerdict, { abortGrpc, abortStatus }: FaultVerdict): void {
    if (abortGrpc !== undefined || abortStatus > 0) {
      const status = abortStatus > 0 ? abortStatus : 200;
      if (abortGrpc !== undefined) this.grpc = true;
      this.#reply({ status, body: 'fault filter abort', grpc: abortGrpc }, 'FI', 'fault_filter_abort');
    } else this.#act(verdict);
  }

  #act(verdict: RouteVerdict): void {
    switch (verdict.kind) {
      case 'forward':
        this.#forward(verdict);
        return;
      case 'redirect':
        this.#reply(
          { status: verdict.status, body: '', headers: [{ name: 'location', value: verdict.location }] },
          '',
          'direct_response',
          verdict.responseHeaders,
        );
        return;
      case 'respond':
        this.#reply(
          { status: verdict.status, body: verdict.body, headers: verdict.headers },
          flagOf(verdict.reason),
          detailsOf(verdict.reason),
          verdict.responseHeaders,
        );
    }
  }

  // === towards the server ===

  #forward(verdict: ForwardVerdict): void {
    this.verdict = verdict;
    const cluster = this.#runtime.clusters.of(verdict.target);
    this.cluster = cluster;
    if (cluster.missing) {
      this.#reply(
        { status: verdict.rule.origin.startsWith('VirtualService') ? 503 : 500, body: '' },
        'NC',
        'cluster_not_found',
      );
      return;
    }
    if (!cluster.breaker.take('requests')) {
      this.#overflow();
      return;
    }
    this.#inCluster = true;
    cluster.budget?.requestBegins(this.begunAt);
    // A rewrite must not make two lines of one, whoever wrote it.
    if (NO_TARGET.test(verdict.path) || NO_TARGET.test(verdict.authority)) {
      this.#reply({ status: 500, body: '' }, '', 'path_normalization_failed');
      return;
    }
    this.#retry = verdict.rule.retry ?? this.origin.door.retry;
    this.#prepare(verdict);
    if (verdict.mirrors.length > 0)
      this.#mirrors = Mirroring.begin(this.#runtime, verdict.mirrors, this.stream.head, this.#edits!, this.#bodyless);
    const hashKey = cluster.settings.loadBalancer?.hash;
    if (hashKey !== undefined) {
      const { hash, setCookie } = affinityOf(hashKey, this.request, this.#runtime.random);
      this.#hash = hash;
      this.#setCookie = setCookie;
    }
    this.#choose(cluster, verdict, false);
  }

  #choose(cluster: Cluster, verdict: ForwardVerdict, again: boolean): void {
    const token = verdict.session?.token ?? '';
    const plain = !again && this.#hash === undefined && token === '';
    const remote = again && this.#retry?.remoteLocalities === true;
    const member = cluster.pick(plain ? ANY_HOST : { tried: this.#tried, hash: this.#hash, sticky: token, remote });
    if (member === undefined) this.#noMember();
    else this.#toMember(member);
  }

  /** What changes in the head on its way. */
  #prepare(verdict: ForwardVerdict | null): void {
    const edits = new HeadEdits();
    const { head } = this.stream;
    const { headers } = this.origin.door.settings;
    if (this.request.path !== head.path) edits.path = this.request.path;
    if (verdict !== null) {
      if (verdict.path !== this.request.path) {
        edits.path = verdict.path;
        if (headers?.noDebug !== true) edits.set('x-envoy-original-path', this.request.path);
      }
      if (verdict.authority !== this.request.authority) edits.authority = verdict.authority;
      applyChanges(edits, verdict.requestHeaders);
    }
    if (this.request.identified !== undefined) applyChanges(edits, [this.request.identified]);
    if (head.get('x-forwarded-proto') === undefined) edits.put('x-forwarded-proto', 'http');
    const id = head.get('x-request-id');
    if (id !== undefined) this.requestId = id;
    else if (headers?.noRequestId !== true) {
      this.requestId = this.#runtime.ids.next();
      edits.put('x-request-id', this.requestId);
    }
    if (headers?.noAttemptCount !== true && headers?.noDebug !== true) edits.set('x-envoy-attempt-count', '1');
    const timeout = verdict?.rule.timeoutMs ?? 0;
    if (timeout > 0 && headers?.noDebug !== true) edits.set('x-envoy-expected-rq-timeout-ms', String(timeout));
    if (headers?.forwardedHost === true) edits.set('x-forwarded-host', this.request.authority);
    if (headers?.forwardedPort === true) edits.set('x-forwarded-port', String(this.origin.door.port));
    this.#clientIdentity(edits);
    this.#edits = edits;
    // From now on the head is read once the bytes it came in are gone.
    head.keep();
  }

  /** Whoever the client says it is to services is what the tunnel proved, or nobody. */
  #clientIdentity(edits: HeadEdits): void {
    const { identity } = this.origin;
    const { settings } = this.origin.door;
    if (settings.forwardClientIdentity && identity !== undefined)
      edits.set('x-forwarded-client-cert', `By=${this.#runtime.settings.identity};URI=${identity.uri}`);
    else if (this.stream.head.get('x-forwarded-client-cert') !== undefined) edits.remove('x-forwarded-client-cert');
  }

  #toMember(member: Member): void {
    this.member = member;
    member.count(1);
    this.#counted = true;
    this.attempts++;
    if (this.attempts > 1) {
      const { headers } = this.origin.door.settings;
      if (headers?.noAttemptCount !== true && headers?.noDebug !== true)
        this.#edits!.set('x-envoy-attempt-count', String(this.attempts));
    }
    const version = this.#versionFor();
    const upstream = member.upstream(version);
    this.#waitingAt = upstream;
    const perTry = this.#retry?.perTryTimeoutMs ?? 0;
    if (perTry > 0) this.#tryTimer = this.#runtime.loop.after(perTry, this);
    upstream.acquire(this);
  }

  #versionFor(): 'h1' | 'h2' {
    const { cluster } = this;
    const { h1, h2 } = this.stream.head;
    if (cluster === null) return h2 === null ? 'h1' : 'h2';
    const pool = cluster.settings.pool;
    // An upgrade is a matter of HTTP/1 (RFC 9113 section 8.6).
    if (h1?.upgrade === true && h1.connectionOptions().includes('upgrade')) return 'h1';
    if (pool?.useClientProtocol === true) return h2 === null ? 'h1' : 'h2';
    if (pool?.h2Upgrade === 'always') return 'h2';
    return cluster.speaksH2 ? 'h2' : 'h1';
  }

  onClient(client: ClientStream): void {
    this.#waitingAt = null;
    this.#client = client;
    this.localAddress = client.localAddress;
    this.#sentAt = this.#runtime.loop.now;
    client.send(this, this.stream.head, this.#edits!, this.#bodyless);
    if (this.#client !== client || this.#bodyless) return;
    const store = this.#store;
    if (store !== null) {
      for (const chunk of store.chunks) client.body(null, chunk, 0, chunk.length);
      if (store.full && !this.#requestEnded) this.stream.resumeRequest();
      if (!this.#mayRetry) store.clear();
    }
    if (this.#requestEnded) client.end(this.#trailers);
  }

  onNoClient(kind: FailureKind, cause: string): void {
    this.#waitingAt = null;
    this.onFailure(kind, cause, false);
  }

  // === ServerUser ===

  onRequestBody(arena: Arena | null, bytes: Buffer, start: number, end: number): void {
    if (this.#over) return;
    this.#mirrors?.body(bytes, start, end);
    const client = this.#client;
    if (client === null) {
      this.#store ??= new BodyStore();
      this.#store.add(bytes, start, end);
      if (this.#store.full) this.stream.pauseRequest();
      return;
    }
    if (!this.#tunnel && !this.#responded && this.#mayRetry) {
      this.#store ??= new BodyStore();
      this.#store.keep(bytes, start, end);
    }
    if (!client.body(arena, bytes, start, end)) this.stream.pauseRequest();
  }

  onRequestEnd(trailers: Trailers): void {
    if (this.#over) return;
    if (this.#tunnel) {
      this.#client?.end(null);
      return;
    }
    this.#requestEnded = true;
    this.#trailers = trailers === null ? null : trailerBlock(trailers);
    this.#mirrors?.end(this.#trailers);
    const timeout = this.verdict?.rule.timeoutMs ?? 0;
    if (timeout > 0) this.#routeTimer = this.#runtime.loop.after(timeout, this);
    if (!this.#bodyless) this.#client?.end(this.#trailers);
  }

  onResponseRoom(): void {
    this.#client?.resumeResponse();
  }

  onClientGone(cause: string): void {
    if (this.#over) return;
    this.flags = 'DC';
    this.details = 'downstream_remote_disconnect';
    this.failure = cause;
    this.#leaveServer();
    this.#finish();
  }

  // === ClientUser ===

  onInterim(head: MessageHead): void {
    this.stream.interim(head);
  }

  onResponse(head: MessageHead, ends: boolean): void {
    const { status } = head;
    this.upstreamMs = Math.max(0, Math.round(this.#runtime.loop.now - this.#sentAt));
    if (this.grpc) {
      const text = head.get('grpc-status');
      if (text !== undefined) this.grpcStatus = Number(text);
    }
    if (this.cluster !== null && this.member !== null) this.cluster.report(this.member, { kind: 'status', status });
    if (status >= 400 || this.grpcStatus > 0) {
      const grpcStatus = this.grpcStatus < 0 ? undefined : this.grpcStatus;
      const rateLimited = head.get('x-envoy-ratelimited') !== undefined;
      if (this.#retryLater({ kind: 'response', status, grpcStatus, rateLimited })) return;
    }
    this.#responded = true;
    this.#disarmTry();
    this.status = status;
    this.details = 'via_upstream';
    this.#store?.clear();
    this.stream.respond(head, this.#responseEdits(), ends);
  }

  onUpgrade(head: MessageHead): void {
    this.#responded = this.#tunnel = true;
    this.#disarmTry();
    this.#disarmRoute();
    this.status = head.status;
    this.details = 'via_upstream';
    this.upstreamMs = Math.max(0, Math.round(this.#runtime.loop.now - this.#sentAt));
    this.stream.upgrade(head, this.#responseEdits());
  }

  onResponseBody(arena: Arena | null, bytes: Buffer, start: number, end: number): void {
    if (!this.stream.body(arena, bytes, start, end)) this.#client?.pauseResponse();
  }

  onResponseEnd(trailers: Trailers): void {
    if (this.#over) return;
    this.#client = null;
    this.#giveBack();
    if (this.grpc) {
      const text = trailers?.get('grpc-status');
      if (text !== undefined) this.grpcStatus = Number(text);
    }
    this.stream.end(trailers);
    this.#finish();
  }

  onRequestRoom(): void {
    this.stream.resumeRequest();
  }

  onFailure(kind: FailureKind, cause: string, reused: boolean): void {
    if (this.#over) return;
    this.#client = null;
    this.failure = cause;
    if (this.#responded) {
      this.#giveBack();
      this.flags = kind === 'protocol' ? 'UPE' : kind === 'closed' ? 'UC' : 'UR';
      this.details = 'upstream_reset_after_response_started';
      this.stream.abort();
      this.#finish();
      return;
    }
    if (kind === 'overflow') {
      this.#giveBack();
      this.#overflow();
      return;
    }
    const stale = reused && this.#stale < STALE_TRIES && (kind === 'refused' || isIdempotent(this.request.method));
    if (stale && this.#replayable) {
      this.#stale++;
      this.attempts--;
      const { member } = this;
      this.#giveBack();
      this.#toMember(member!);
      return;
    }
    if (this.cluster !== null && this.member !== null) this.cluster.report(this.member, LOCAL_FAILURE);
    if (this.#retryLater(outcomeOf(kind, reused))) return;
    this.#giveBack();
    this.flags = flagOfFailure(kind) + (this.#exhausted ? ',URX' : '');
    const reason = REASONS[kind];
    const transport = kind === 'connect' ? `, transport failure reason: ${cause}` : '';
    this.#reply(
      {
        status: kind === 'protocol' ? 502 : 503,
        body: `upstream connect error or disconnect/reset before headers. reset reason: ${reason}${transport}`,
      },
      this.flags,
      `upstream_reset_before_response_started{${reason.replaceAll(' ', '_')}}`,
    );
  }

  // === tries ===

  get #mayRetry(): boolean {
    return (this.#retry?.attempts ?? 0) > 0 && this.#replayable;
  }

  get #replayable(): boolean {
    return this.#bodyless || this.#store?.overflowed !== true;
  }

  /** Sends the request once more, after a while, if the rule and the budgets have it so. */
  #retryLater(outcome: TryOutcome): boolean {
    const retry = this.#retry;
    if (retry === null || !this.#replayable) return false;
    const { cluster } = this;
    const { loop, random } = this.#runtime;
    this.#retries ??= new RetryState(retry, this.request.method, cluster?.breaker ?? UNBOUNDED, cluster?.budget);
    const verdict = this.#retries.decide(outcome, loop.now, random);
    if (verdict.kind === 'end') {
      this.#exhausted = verdict.reason === 'exhausted';
      return false;
    }
    this.#client?.abort();
    this.#client = null;
    const host = this.member?.host ?? null;
    if (host !== null && retry.avoidTried) this.#tried = [...this.#tried, host];
    this.#giveBack();
    this.#disarmTry();
    this.grpcStatus = -1;
    this.#pauseTimer = loop.after(verdict.delayMs, this);
    return true;
  }

  #again(): void {
    const { cluster, verdict } = this;
    if (cluster === null || verdict === null) {
      const { behind } = this.origin.door;
      if (behind.kind === 'workload') this.#toMember(behind.member);
      return;
    }
    cluster.refresh();
    this.#choose(cluster, verdict, true);
  }

  onTimer(id: TimerId): void {
    if (this.#over) return;
    if (id === this.#pauseTimer) {
      this.#pauseTimer = 0;
      const verdict = this.#afterPause;
      this.#afterPause = null;
      if (verdict?.fault === undefined) this.#again();
      else this.#afterDelay(verdict, verdict.fault);
    } else if (id === this.#routeTimer) {
      this.#routeTimer = 0;
      this.#timedOut('response_timeout');
    } else if (id === this.#tryTimer) {
      this.#tryTimer = 0;
      this.#tryTimedOut();
    }
  }

  #tryTimedOut(): void {
    if (this.#responded) return;
    this.#waitingAt?.cancel(this);
    this.#waitingAt = null;
    if (this.cluster !== null && this.member !== null) this.cluster.report(this.member, LOCAL_FAILURE);
    if (this.#retryLater({ kind: 'per-try-timeout' })) return;
    this.#timedOut('upstream_per_try_timeout');
  }

  #timedOut(details: string): void {
    this.#leaveServer();
    this.flags = 'UT';
    this.details = details;
    if (this.#responded) {
      this.stream.abort();
      this.#finish();
    } else this.#reply({ status: 504, body: 'upstream request timeout' }, 'UT', details);
  }

  #noMember(): void {
    this.#giveBack();
    this.#reply({ status: 503, body: 'no healthy upstream' }, 'UH', 'no_healthy_upstream');
  }

  #overflow(): void {
    this.#reply(
      {
        status: 503,
        body: 'upstream connect error or disconnect/reset before headers. reset reason: overflow',
        headers: [{ name: 'x-envoy-overloaded', value: 'true' }],
      },
      'UO',
      'upstream_reset_before_response_started{overflow}',
    );
  }

  // === endings ===

  #responseEdits(): HeadEdits {
    const edits = new HeadEdits();
    const { headers } = this.origin.door.settings;
    if (headers?.passServer !== true) edits.set('server', 'istio-envoy');
    if (headers?.noDebug !== true && this.upstreamMs >= 0)
      edits.set('x-envoy-upstream-service-time', String(this.upstreamMs));
    if (this.verdict !== null && this.verdict.responseHeaders.length > 0)
      applyChanges(edits, this.verdict.responseHeaders);
    if (this.#setCookie !== '') applyChanges(edits, [added('set-cookie', this.#setCookie)]);
    this.#tellSession(edits);
    return edits;
  }

  /** The client learns which endpoint its session has. */
  #tellSession(edits: HeadEdits): void {
    const { verdict } = this;
    const host = this.member?.host;
    if (verdict?.rule.session === undefined || host === undefined || host === null) return;
    const known = verdict.session;
    if (known?.token === host.token) return;
    const backend = verdict.rule.backends.indexOf(verdict.backend);
    const sinceMs = Math.floor(known?.sinceMs ?? this.#runtime.now());
    applyChanges(edits, [added(...sessionHeader(verdict.rule.session, backend, host, sinceMs))]);
  }

  /** The proxy's own answer. */
  #reply(reply: Reply, flags: string, details: string, changes: readonly HeaderChanges[] = NO_CHANGES): void {
    if (this.#over) return;
    if (flags !== '') this.flags = this.flags === 'DI' ? `DI,${flags}` : flags;
    this.details = details;
    const edits = new HeadEdits();
    if (this.origin.door.settings.headers?.passServer !== true) edits.put('server', 'istio-envoy');
    if (changes.length > 0) applyChanges(edits, changes);
    if (!this.#requestEnded && !this.#bodyless) this.stream.resumeRequest();
    this.status = reply.status;
    this.#responded = true;
    if (this.grpc) this.grpcStatus = reply.grpc ?? -1;
    this.status = sendReply(this.stream, this.grpc, reply, edits);
    this.#finish();
  }

  /** The member's place among those under way is given back. */
  #giveBack(): void {
    if (this.#counted) this.member?.count(-1);
    this.#counted = false;
  }

  #leaveServer(): void {
    this.#waitingAt?.cancel(this);
    this.#waitingAt = null;
    this.#client?.abort();
    this.#client = null;
    this.#giveBack();
  }

  #disarmTry(): void {
    if (this.#tryTimer !== 0) this.#runtime.loop.cancel(this.#tryTimer);
    this.#tryTimer = 0;
  }

  #disarmRoute(): void {
    if (this.#routeTimer !== 0) this.#runtime.loop.cancel(this.#routeTimer);
    this.#routeTimer = 0;
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.#disarmTry();
    this.#disarmRoute();
    if (this.#pauseTimer !== 0) this.#runtime.loop.cancel(this.#pauseTimer);
    this.#store?.clear();
    this.#retries?.end();
    if (this.#inCluster) {
      this.cluster!.breaker.give('requests');
      this.cluster!.budget?.requestEnds();
    }
    this.#runtime.telemetry.requestEnded(this);
  }
}

const REASONS: Readonly<Record<FailureKind, string>> = {
  connect: 'connection failure',
  reset: 'connection termination',
  closed: 'connection termination',
  refused: 'remote refused stream reset',
  protocol: 'protocol error',
  overflow: 'overflow',
};

function added(name: string, value: string): HeaderChanges {
  return { set: [], add: [{ name, value }], remove: [] };
}

function outcomeOf(kind: FailureKind, reused: boolean): TryOutcome {
  if (kind === 'connect') return { kind: 'connect-failure' };
  if (kind === 'refused') return { kind: 'refused-stream' };
  return { kind: 'reset', sent: true, reused };
}

function flagOfFailure(kind: FailureKind): string {
  switch (kind) {
    case 'connect':
      return 'UF';
    case 'protocol':
      return 'UPE';
    case 'refused':
      return 'UR';
    default:
      return 'UC';
  }
}
