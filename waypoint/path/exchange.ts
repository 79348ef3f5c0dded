// SPDX-License-Identifier: Apache-2.0
// One request on its way through: filters, then an answer of our own or a server's; and one record at its end. This is the side
// towards the client, and what is known of the request; the side towards the server is its forwarding.
//
//   judged ⇄ waiting (a filter) ──▶ forwarded ──▶ answered ──▶ over
import type { Arena } from '#lib/linux/arena.ts';
import { denialDetails, type RequestAccessVerdict } from '#lib/mesh/http/access-policy.ts';
import { authorizeRequest, requestFlow } from '#lib/mesh/http/authorize-request.ts';
import type { HeaderChanges } from '#lib/mesh/http/route-table.ts';
import { detailsOf, type ForwardVerdict, flagOf, type RouteVerdict } from '#lib/mesh/http/route-verdict.ts';
import { NO_PROOF } from '#lib/mesh/proof.ts';
import type { ServerStream, ServerUser, Trailers } from '#lib/net/http/exchange.ts';
import { trailerBlock } from '#lib/net/http/trailers.ts';
import type { Admitted } from '#lib/proxy/worker/live-inbound.ts';
import { FieldLine } from '#lib/wire/http/field-line.ts';
import type { MessageHead } from '#lib/wire/http/message.ts';
import type { NamedRequest, RequestTrace } from '../tracing/tracer.ts';
import type { Cluster } from '../upstream/cluster.ts';
import type { Member } from '../upstream/member.ts';
import type { Runtime } from '../worker/runtime.ts';
import { BodyStore } from './body-store.ts';
import { type JudgedRequest, PASS, type Refusal, type RequestFilter, type Ruling, type Waiting } from './filter.ts';
import type { ForwardedRequest } from './forwarded-request.ts';
import { Forwarding } from './forwarding.ts';
import { GrpcMessages } from './grpc-messages.ts';
import type { Origin } from './origin.ts';
import { grpcOf, isGrpc, sendReply } from './reply.ts';
import { Request } from './request.ts';
import { replyEdits } from './response-edits.ts';

const NO_CHANGES: readonly HeaderChanges[] = [];
const BAD_PATH: Refusal = {
  kind: 'refuse',
  reply: { status: 400, body: '' },
  flags: '',
  details: 'path_normalization_failed',
};

export class Exchange implements ServerUser, Admitted, NamedRequest, JudgedRequest, ForwardedRequest {
  place = -1;
  readonly runtime: Runtime;
  readonly origin: Origin;
  readonly stream: ServerStream;
  /** Monotonic. */
  readonly begunAt: number;
  readonly request: Request;
  /** null when nobody follows this request. */
  readonly trace: RequestTrace | null;

  // === what filters found ===

  access: RequestAccessVerdict | null = null;
  /** What external authorisers said, in words. */
  checked = '';
  /** null until it is known, and where there are no routes. */
  routed: RouteVerdict | null = null;
  /** Of filters, to the head on its way to the server, and to that of whatever answers. */
  changes: readonly HeaderChanges[] = NO_CHANGES;
  responseChanges: readonly HeaderChanges[] = NO_CHANGES;

  // === what became of it ===

  verdict: ForwardVerdict | null = null;
  cluster: Cluster | null = null;
  member: Member | null = null;
  attempts = 0;
  localAddress = '';
  /** What the client saw; 0 while there is nothing. */
  status = 0;
  grpc: boolean;
  /** -1 while there is none. */
  grpcStatus = -1;
  flags = '';
  details = '';
  failure = '';
  /** Ms from the request's last byte sent to the answer's first; -1 without one. */
  upstreamMs = -1;
  /** The server's answer, where logs tell of its fields. */
  answer: MessageHead | null = null;
  /** null unless it is gRPC. */
  readonly messages: GrpcMessages | null;

  // === its content ===

  /** The head says that there is none. */
  readonly bodyless: boolean;
  /** What came before anybody took it, or may have to be sent again. */
  store: BodyStore | null = null;
  requestEnded = false;
  trailers: Trailers = null;
  /** The final head went to the client. */
  responded = false;
  over = false;

  readonly #filters: readonly RequestFilter[];
  readonly #path: string | undefined;
  #ownId: FieldLine | null = null;
  #stage = 0;
  #lasting = false;
  #waiting: Waiting | null = null;
  #forwarding: Forwarding | null = null;

  constructor(runtime: Runtime, origin: Origin, stream: ServerStream) {
    const { door } = origin;
    const { head } = stream;
    this.runtime = runtime;
    this.origin = origin;
    this.stream = stream;
    this.begunAt = runtime.loop.now;
    door.refresh();
    this.#filters = door.filters;
    const raw = head.path;
    this.#path = origin.lastPath.normalised(raw, door.settings.pathNormalisation);
    this.request = new Request(head, this.#path ?? raw, origin);
    this.grpc = isGrpc(head);
    const { h1 } = head;
    this.bodyless = h1 === null ? head.ended : h1.contentLength <= 0 && !h1.chunked;
    this.messages = this.grpc ? new GrpcMessages() : null;
    const { tracer } = door.observer;
    this.trace = tracer === null ? null : tracer.begin(this);
  }

  get isStream(): boolean {
    return false;
  }

  /** Wall clock at the begin, ms. */
  get startedAt(): number {
    return this.runtime.now() - (this.runtime.loop.now - this.begunAt);
  }

  /** The client's own or ours; '' for none. */
  get requestId(): string {
    return this.#ownId === null ? (this.stream.head.get('x-request-id') ?? '') : this.#ownId.value;
  }

  /** Gives the request an id of ours, once. */
  nameIt(): FieldLine {
    this.#ownId ??= this.runtime.ids.next();
    return this.#ownId;
  }

  /** The request goes by this id from now on. */
  rename(id: string): FieldLine {
    this.#ownId = FieldLine.of('x-request-id', id);
    return this.#ownId;
  }

  /** Judges the request and sets it going. */
  begin(): void {
    if (this.#path === undefined) this.refuse(BAD_PATH);
    else this.#judge();
  }

  /** Of the filter that had the request wait. */
  proceed(ruling: Ruling): void {
    if (this.over) return;
    this.#waiting = null;
    if (ruling === PASS) this.#judge();
    else this.#obey(ruling);
  }

  /** Of a filter: changes in the head on its way to the server. */
  change(changes: HeaderChanges): void {
    this.changes = [...this.changes, changes];
  }

  /** Of a filter: changes in the head of the answer, whoever gives it. */
  changeResponse(changes: HeaderChanges): void {
    this.responseChanges = [...this.responseChanges, changes];
  }

  #judge(): void {
    const filters = this.#filters;
    while (this.#stage < filters.length) {
      const ruling = filters[this.#stage++]!.judge(this);
      if (ruling === PASS) continue;
      this.#obey(ruling);
      return;
    }
    this.#act();
  }

  #obey(ruling: Refusal | Waiting): void {
    if (ruling.kind === 'refuse') this.refuse(ruling);
    else {
      this.stream.head.keep();
      this.#waiting = ruling;
    }
  }

  /** Does what the route says. */
  #act(): void {
    const { behind } = this.origin.door;
    const verdict = this.routed;
    if (verdict === null) {
      if (behind.kind === 'workload') this.#forward().toWorkload(behind.member);
      return;
    }
    if (verdict.kind === 'forward') {
      this.verdict = verdict;
      this.#forward().toCluster(verdict);
      return;
    }
    const { responseHeaders: changes, status } = verdict;
    if (verdict.kind === 'redirect') {
      const headers = [{ name: 'location', value: verdict.location }];
      this.refuse({
        kind: 'refuse',
        reply: { status, body: '', headers },
        flags: '',
        details: 'direct_response',
        changes,
      });
      return;
    }
    const { body, headers, reason } = verdict;
    this.refuse({
      kind: 'refuse',
      reply: { status, body, headers, grpc: grpcOf(reason) },
      flags: flagOf(reason),
      details: detailsOf(reason),
      changes,
    });
  }

  #forward(): Forwarding {
    this.#forwarding = new Forwarding(this);
    return this.#forwarding;
  }

  // === ServerUser ===

  onRequestBody(arena: Arena | null, bytes: Buffer, start: number, end: number): void {
    if (this.over) return;
    if (this.messages !== null) this.messages.requestBytes(this, bytes, start, end);
    if (this.#forwarding !== null) this.#forwarding.body(arena, bytes, start, end);
    else {
      this.hold(bytes, start, end);
      this.#waiting?.contentCame?.();
    }
  }

  onRequestEnd(trailers: Trailers): void {
    if (this.over) return;
    this.trailers = trailers === null ? null : trailerBlock(trailers);
    this.requestEnded = true;
    if (this.#forwarding !== null) this.#forwarding.requestEnded();
    else this.#waiting?.contentCame?.();
  }

  onResponseRoom(): void {
    this.#forwarding?.resumeResponse();
  }

  onClientGone(cause: string): void {
    if (this.over) return;
    this.flags = 'DC';
    this.details = 'downstream_remote_disconnect';
    this.failure = cause;
    this.finish();
  }

  /** Keeps content that nobody can take yet; no more of it than the store allows. */
  hold(bytes: Buffer, start: number, end: number): void {
    this.store ??= new BodyStore();
    this.store.add(bytes, start, end);
    if (this.store.full) this.stream.pauseRequest();
  }

  /** A protocol was switched to: from now on this lasts, and policies look at it again when they change. */
  lasts(): void {
    this.#lasting = true;
    this.runtime.liveInbound.add(this);
  }

  judgeAgain(): void {
    const { door } = this.origin;
    door.refresh();
    const verdict = authorizeRequest(door.access.http, requestFlow(this.request), NO_PROOF, true);
    if (this.over || verdict.allow) return;
    this.access = verdict;
    this.details = denialDetails(verdict);
    this.stream.abort();
    this.finish();
  }

  /** Of a gRPC request that lasts: its messages so far are seen before its end. */
  countMessages(): void {
    this.runtime.telemetry.messagesPassed(this);
  }

  // === endings ===

  /** The proxy's own answer. */
  refuse({ changes = NO_CHANGES, details, flags, reply }: Refusal): void {
    if (this.over) return;
    if (flags !== '') this.flags = this.flags === 'DI' ? `DI,${flags}` : flags;
    this.details = details;
    const edits = replyEdits(this, changes);
    if (!this.requestEnded && !this.bodyless) this.stream.resumeRequest();
    this.status = reply.status;
    this.responded = true;
    if (this.grpc) this.grpcStatus = reply.grpc ?? -1;
    this.status = sendReply(this.stream, this.grpc, reply, edits);
    this.finish();
  }

  /** Nothing more happens: what is held is let go of, and the record is written. */
  finish(): void {
    if (this.over) return;
    this.over = true;
    if (this.#lasting) this.runtime.liveInbound.delete(this);
    this.#waiting?.abandon();
    this.#waiting = null;
    this.#forwarding?.end();
    this.store?.clear();
    this.trace?.ends(this);
    this.runtime.telemetry.requestEnded(this);
  }
}
