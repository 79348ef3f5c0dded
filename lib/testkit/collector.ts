// SPDX-License-Identifier: Apache-2.0
// A collector of traces and log records for tests: OTLP by gRPC, and by HTTP on a second port, where Zipkin's JSON is taken too. It
// keeps what it was sent, and answers badly when a test wants that.
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  Server as GrpcServer,
  type Metadata,
  ServerCredentials,
  type ServerUnaryCall,
  type sendUnaryData,
} from '@grpc/grpc-js';
import type { KeyValue } from '#lib/proto/gen/otlp-common_pb.ts';
import {
  type ExportLogsServiceRequest,
  ExportLogsServiceRequestSchema,
  LogsService,
} from '#lib/proto/gen/otlp-logs_pb.ts';
import {
  type ExportTraceServiceRequest,
  ExportTraceServiceRequestSchema,
  Span_SpanKind,
  Status_StatusCode,
  TraceService,
} from '#lib/proto/gen/otlp-trace_pb.ts';
import { deserialize, grpcService } from '#lib/proto/grpc.ts';

export interface CollectedSpan {
  readonly traceId: string;
  readonly spanId: string;
  /** '' for the first of a trace. */
  readonly parentId: string;
  readonly name: string;
  readonly kind: 'server' | 'client';
  readonly error: boolean;
  /** Nanoseconds. */
  readonly start: bigint;
  readonly end: bigint;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly resource: Readonly<Record<string, unknown>>;
}

export interface CollectedLog {
  readonly body: string;
  readonly traceId: string;
  readonly attributes: Readonly<Record<string, unknown>>;
}

/** What it got with a request: lower-case names. */
export type CollectedHeaders = Readonly<Record<string, string>>;

export class TestCollector implements AsyncDisposable {
  readonly spans: CollectedSpan[] = [];
  readonly logs: CollectedLog[] = [];
  readonly zipkin: Readonly<Record<string, unknown>>[] = [];
  readonly headers: CollectedHeaders[] = [];
  /** gRPC status and HTTP status of every answer, while they are not 0. */
  failing: { readonly grpc: number; readonly http: number } | undefined;
  readonly #grpc = new GrpcServer();
  readonly #http: Server;
  #grpcPort = 0;

  private constructor() {
    this.#http = createServer((request, response) => {
      const parts: Buffer[] = [];
      request.on('data', (part: Buffer) => parts.push(part));
      request.on('end', () => response.writeHead(this.#taken(request, Buffer.concat(parts))).end());
    });
    this.#grpc.addService(grpcService(TraceService), {
      export: (call: ServerUnaryCall<ExportTraceServiceRequest, object>, done: sendUnaryData<object>) =>
        this.#answer(call.metadata, done, () => this.#trace(call.request)),
    });
    this.#grpc.addService(grpcService(LogsService), {
      export: (call: ServerUnaryCall<ExportLogsServiceRequest, object>, done: sendUnaryData<object>) =>
        this.#answer(call.metadata, done, () => this.#log(call.request)),
    });
  }

  static async start(): Promise<TestCollector> {
    const collector = new TestCollector();
    await new Promise<void>((resolve) => collector.#http.listen(0, '0.0.0.0', resolve));
    collector.#grpcPort = await new Promise<number>((resolve, reject) =>
      collector.#grpc.bindAsync('0.0.0.0:0', ServerCredentials.createInsecure(), (error, port) =>
        error === null ? resolve(port) : reject(error),
      ),
    );
    return collector;
  }

  get grpcPort(): number {
    return this.#grpcPort;
  }

  get httpPort(): number {
    return (this.#http.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#grpc.forceShutdown();
    this.#http.closeAllConnections();
    await new Promise((resolve) => this.#http.close(resolve));
  }

  #answer(metadata: Metadata, done: sendUnaryData<object>, take: () => void): void {
    if (this.failing !== undefined) {
      done({ code: this.failing.grpc, details: 'the test wants it so' });
      return;
    }
    this.headers.push(metadata.getMap() as CollectedHeaders);
    take();
    done(null, {});
  }

  /** Status of the answer. */
  #taken(request: IncomingMessage, body: Buffer): number {
    if (this.failing !== undefined) return this.failing.http;
    this.headers.push(request.headers as CollectedHeaders);
    switch (request.url) {
      case '/v1/traces':
        this.#trace(deserialize(ExportTraceServiceRequestSchema, body));
        return 200;
      case '/v1/logs':
        this.#log(deserialize(ExportLogsServiceRequestSchema, body));
        return 200;
      case '/api/v2/spans':
        this.zipkin.push(...(JSON.parse(body.toString()) as Readonly<Record<string, unknown>>[]));
        return 202;
      default:
        return 404;
    }
  }

  #trace({ resourceSpans }: ExportTraceServiceRequest): void {
    for (const { resource, scopeSpans } of resourceSpans) {
      for (const span of scopeSpans.flatMap(({ spans }) => spans)) {
        this.spans.push({
          traceId: hex(span.traceId),
          spanId: hex(span.spanId),
          parentId: hex(span.parentSpanId),
          name: span.name,
          kind: span.kind === Span_SpanKind.SERVER ? 'server' : 'client',
          error: span.status?.code === Status_StatusCode.ERROR,
          start: span.startTimeUnixNano,
          end: span.endTimeUnixNano,
          attributes: plain(span.attributes),
          resource: plain(resource?.attributes ?? []),
        });
      }
    }
  }

  #log({ resourceLogs }: ExportLogsServiceRequest): void {
    for (const { logRecords } of resourceLogs.flatMap(({ scopeLogs }) => scopeLogs)) {
      for (const record of logRecords) {
        this.logs.push({
          body: String(record.body?.value.value ?? ''),
          traceId: hex(record.traceId),
          attributes: plain(record.attributes),
        });
      }
    }
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

function plain(attributes: readonly KeyValue[]): Record<string, unknown> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => {
      const found = value?.value.value;
      return [key, typeof found === 'bigint' ? Number(found) : found];
    }),
  );
}
