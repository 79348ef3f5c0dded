// SPDX-License-Identifier: Apache-2.0
// The ADS server: grpc-js streams on one side, the state machines of server-stream.ts (delta) and world-stream.ts (state
// of the world) on the other. It decides nothing about resources; it only gets them out, to each client as fast as that
// client reads.

import { status as Code, Metadata, type UntypedHandleCall } from '@grpc/grpc-js';
import type { Clock } from '#lib/kit/clock.ts';
import { describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import type { AnyRequest, Conversation } from './conversation.ts';
import type { RequestNote, TypeStatus } from './dialogue.ts';
import { FirstSnapshots, type Share } from './first-snapshots.ts';
import { type Call, type Definition, framedService, passFrames } from './framed-service.ts';
import { announcePulse } from './pulse.ts';
import { Responders, type ServerResponse } from './responder.ts';
import { type Peer, type ResourceSource, ServerStream } from './server-stream.ts';
import { WorldStream } from './world-stream.ts';

/** How long one turn may send before other work of the process gets its chance. */
const PUSH_SLICE_MS = 5;
/** How long a new stream may take to say who it is. */
const HELLO_MS = 10_000;
const MOVING = 'this replica is shutting down: another one serves';
/** How many requests may wait while a stream is being admitted. */
const MAX_WAITING_REQUESTS = 16;

/** Said by whoever binds the port: grpc-js does not tell a server whether a call came over TLS. */
export type PortKind = 'tls' | 'plaintext';

/** What is known about a caller before it is let in. */
export interface Caller {
  readonly metadata: Metadata;
  readonly peer: Omit<Peer, 'identity'>;
  /** `address:port`. */
  readonly remote: string;
  /** Which port it came by, as `service` was told. */
  readonly port: PortKind;
  /** The client's certificate, DER, when it has shown one that the port's roots verify. */
  readonly certificate: Uint8Array | undefined;
}

export type Admission =
  | { readonly ok: true; readonly identity: string }
  | { readonly ok: false; readonly code: Code; readonly reason: string };

/** Metrics and logs hang in here. */
export interface ServerObserver {
  opened(peer: Peer): void;
  closed(peer: Peer): void;
  /** A client may get its first snapshots now, after waiting for those of others. */
  started(peer: Peer, waitedMs: number): void;
  sent(peer: Peer, response: ServerResponse, tookMs: number): void;
  received(peer: Peer, note: RequestNote): void;
  /** @param nodeId undefined when the caller did not say */
  refused(nodeId: string | undefined, reason: string): void;
}

export interface DeltaServerOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly observer: ServerObserver;
  readonly controlPlane: string;
  readonly nonce: () => string;
  readonly admit: (caller: Caller) => Promise<Admission>;
  /** Streams that come before this is true are told to come back. */
  readonly ready: () => boolean;
  /** How often whoever binds the ports has clients' connections pinged, ms; clients are told, and leave a silent one. */
  readonly pulseMs?: number;
}

export interface StreamStatus {
  readonly peer: Peer;
  readonly remote: string;
  readonly connectedAtMs: number;
  readonly types: readonly TypeStatus[];
}

/** The variants of the protocol: a response says what changed, or everything. */
type Variant = 'delta' | 'world';

interface Connection {
  readonly call: Call;
  readonly variant: Variant;
  /** Set when the stream is let in. */
  stream: Conversation | undefined;
  readonly remote: string;
  readonly port: PortKind;
  readonly connectedAtMs: number;
  phase: 'new' | 'admitting' | 'queued' | 'open' | 'closed';
  readonly waiting: AnyRequest[];
  /** Of the first snapshots under way; undefined until it starts. */
  share: Share | undefined;
  /** The transport's buffer is full: nothing is sent until it drains. */
  blocked: boolean;
}

export class DeltaServer {
  readonly #options: DeltaServerOptions;
  readonly #sources = new Map<string, ResourceSource>();
  readonly #reports = new Set<string>();
  readonly #connections = new Set<Connection>();
  readonly #due = new Set<Connection>();
  readonly #responders: Responders;
  readonly #firstSnapshots: FirstSnapshots;
  #scheduled = false;
  #draining = false;

  constructor(options: DeltaServerOptions) {
    this.#options = options;
    this.#responders = new Responders(options);
    this.#firstSnapshots = new FirstSnapshots(options.clock);
  }

  /** Adds a type; call it before clients come. */
  serve(source: ResourceSource): void {
    this.#sources.set(source.typeUrl, source);
  }

  /** Adds a type by which clients tell of themselves; the observer hears of it. */
  takeReports(typeUrl: string): void {
    this.#reports.add(typeUrl);
  }

  /** The service to add to the gRPC server of one port. */
  service(port: PortKind): {
    readonly definition: Definition;
    readonly implementation: Record<keyof Definition, UntypedHandleCall>;
  } {
    return {
      definition: framedService(),
      implementation: {
        deltaAggregatedResources: (call: Call) => this.#accept(call, port, 'delta'),
        streamAggregatedResources: (call: Call) => this.#accept(call, port, 'world'),
      },
    };
  }

  /** Tells every client what changed since it was last told; call it after the sources' logs have been updated. */
  push(): void {
    for (const connection of this.#connections) if (connection.phase === 'open') this.#due.add(connection);
    this.#schedule();
  }

  streams(): StreamStatus[] {
    return [...this.#connections].flatMap(({ stream, remote, connectedAtMs }) =>
      stream === undefined ? [] : [{ peer: stream.peer, remote, connectedAtMs, types: stream.status() }],
    );
  }

  /**
   * Ends the streams one by one, at random moments within `withinMs`, and lets nobody in any more: so that the replica
   * their clients turn to does not meet them all at once.
   */
  async drain(withinMs: number, random: () => number): Promise<void> {
    const { clock } = this.#options;
    this.#draining = true;
    const moves = [...this.#connections].map((connection) => ({ connection, atMs: random() * withinMs }));
    const started = clock.monotonic();
    for (const { connection, atMs } of moves.sort((a, b) => a.atMs - b.atMs)) {
      const waitMs = atMs - (clock.monotonic() - started);
      if (waitMs > 0) await clock.sleep(waitMs);
      this.#fail(connection, Code.UNAVAILABLE, MOVING);
    }
  }

  /** Ends every stream; clients go to another replica or come back. */
  close(): void {
    for (const connection of [...this.#connections]) this.#fail(connection, Code.UNAVAILABLE, MOVING);
  }

  #accept(call: Call, port: PortKind, variant: Variant): void {
    const { clock } = this.#options;
    const connection: Connection = {
      call,
      variant,
      stream: undefined,
      remote: call.getPeer(),
      port,
      connectedAtMs: clock.now(),
      phase: 'new',
      waiting: [],
      share: undefined,
      blocked: false,
    };
    this.#connections.add(connection);
    passFrames(call);
    const cancelHello = clock.after(HELLO_MS, () => {
      if (connection.phase === 'new') this.#fail(connection, Code.DEADLINE_EXCEEDED, 'no request came on this stream');
    });
    call.once('data', cancelHello);
    call.once('close', cancelHello);
    call.on('data', (request: AnyRequest) => this.#onRequest(connection, request));
    call.on('end', () => this.#close(connection, () => call.end()));
    call.on('error', () => this.#close(connection));
    call.on('cancelled', () => this.#close(connection));
    call.on('drain', () => {
      connection.blocked = false;
      this.#due.add(connection);
      this.#schedule();
    });
    if (this.#draining) this.#fail(connection, Code.UNAVAILABLE, MOVING);
    else if (!this.#options.ready())
      this.#fail(connection, Code.UNAVAILABLE, 'the server is not ready: its caches are not filled');
  }

  #onRequest(connection: Connection, request: AnyRequest): void {
    switch (connection.phase) {
      case 'open':
        this.#handle(connection, connection.stream!, request);
        return;
      case 'closed':
        return;
      case 'admitting':
      case 'queued':
        if (connection.waiting.push(request) > MAX_WAITING_REQUESTS) {
          this.#fail(connection, Code.RESOURCE_EXHAUSTED, 'too many requests before the first answer');
        }
        return;
      case 'new':
        if (request.node === undefined || request.node.id === '') {
          this.#fail(connection, Code.INVALID_ARGUMENT, 'the first request names no node.id');
          return;
        }
        connection.phase = 'admitting';
        connection.waiting.push(request);
        void this.#admit(connection, { id: request.node.id, metadata: request.node.metadata ?? {} });
    }
  }

  async #admit(connection: Connection, node: Caller['peer']): Promise<void> {
    const { admit, clock, observer } = this.#options;
    const { call, port, remote } = connection;
    let admission: Admission;
    try {
      const certificate = call.getAuthContext().sslPeerCertificate?.raw;
      admission = await admit({ metadata: call.metadata, peer: node, remote, port, certificate });
    } catch (error) {
      admission = { ok: false, code: Code.UNAVAILABLE, reason: describeError(error) };
    }
    if (connection.phase !== 'admitting') return;
    if (!admission.ok) {
      observer.refused(node.id, admission.reason);
      this.#fail(connection, admission.code, admission.reason);
      return;
    }
    connection.phase = 'queued';
    const peer: Peer = { ...node, identity: admission.identity };
    const common = { peer, sources: this.#sources, reports: this.#reports };
    const stream: Conversation =
      connection.variant === 'delta'
        ? new ServerStream({ ...common, responders: this.#responders })
        : new WorldStream({ ...common, responses: this.#options });
    connection.stream = stream;
    observer.opened(peer);
    const admittedAt = clock.monotonic();
    this.#firstSnapshots.enter(() => {
      if (connection.phase !== 'queued') return;
      observer.started(peer, clock.monotonic() - admittedAt);
      this.#start(connection, stream);
    });
  }

  #start(connection: Connection, stream: Conversation): void {
    const { pulseMs } = this.#options;
    if (pulseMs !== undefined) {
      const headers = new Metadata();
      announcePulse(headers, pulseMs);
      connection.call.sendMetadata(headers);
    }
    connection.phase = 'open';
    connection.share = this.#firstSnapshots.begin();
    for (const request of connection.waiting.splice(0)) this.#handle(connection, stream, request);
  }

  #handle(connection: Connection, stream: Conversation, request: AnyRequest): void {
    const { note, response } = stream.receive(request);
    this.#options.observer.received(stream.peer, note);
    // Answers to requests are written even when the transport is busy: there is at most one for each request.
    if (response !== undefined) this.#write(connection, stream.peer, response);
    if (note.kind === 'acked' || note.kind === 'nacked') this.#push(connection);
  }

  #schedule(): void {
    if (this.#scheduled || this.#due.size === 0) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      const { clock } = this.#options;
      const end = clock.monotonic() + PUSH_SLICE_MS;
      for (const connection of this.#due) {
        this.#due.delete(connection);
        this.#push(connection);
        if (clock.monotonic() > end) break;
      }
      this.#schedule();
    });
  }

  #push(connection: Connection): void {
    const { stream } = connection;
    if (connection.phase !== 'open' || stream === undefined || connection.blocked) return;
    const responses = stream.push();
    if (responses === 'too-far-behind') {
      this.#fail(connection, Code.UNAVAILABLE, 'this client has fallen too far behind: reconnect');
      return;
    }
    for (const response of responses) this.#write(connection, stream.peer, response);
  }

  #write(connection: Connection, peer: Peer, response: ServerResponse): void {
    const { clock, observer } = this.#options;
    const started = clock.monotonic();
    const taken = connection.share?.sending(response.frame.length);
    if (!connection.call.write(response.frame, taken)) connection.blocked = true;
    observer.sent(peer, response, clock.monotonic() - started);
  }

  #fail(connection: Connection, code: Code, details: string): void {
    if (connection.phase === 'new') this.#options.observer.refused(undefined, details);
    this.#close(connection, () => connection.call.emit('error', { code, details }));
  }

  #close(connection: Connection, end: () => void = () => undefined): void {
    if (connection.phase === 'closed') return;
    connection.phase = 'closed';
    connection.share?.end();
    this.#connections.delete(connection);
    this.#due.delete(connection);
    if (connection.stream !== undefined) this.#options.observer.closed(connection.stream.peer);
    end();
  }
}
