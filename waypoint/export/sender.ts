// SPDX-License-Identifier: Apache-2.0
// What a provider is sent, and how: OTLP by gRPC or HTTP, or Zipkin's JSON.
import type { MessageInitShape } from '@bufbuild/protobuf';
import { type Client, Metadata, makeGenericClientConstructor, type ServiceError } from '@grpc/grpc-js';
import type { Provider } from '#lib/mesh/http/waypoint.ts';
import {
  ExportLogsServiceRequestSchema,
  ExportLogsServiceResponseSchema,
  LogsService,
} from '#lib/proto/gen/otlp-logs_pb.ts';
import {
  ExportTraceServiceRequestSchema,
  ExportTraceServiceResponseSchema,
  TraceService,
} from '#lib/proto/gen/otlp-trace_pb.ts';
import { deserialize, grpcService, serialize } from '#lib/proto/grpc.ts';
import type { SendOutcome } from './batch-queue.ts';
import { logRequest, type Scope, traceRequest } from './otlp.ts';
import type { Attribute, LogRecord, SpanRecord } from './record.ts';
import { GrpcTransport, HttpTransport, INSECURE, NONE_REJECTED, type Place, type Rejected } from './transport.ts';
import { zipkinSpans } from './zipkin.ts';

export interface SenderOptions {
  readonly provider: Provider;
  readonly place: () => Place | undefined;
  /** Who speaks. */
  readonly resource: readonly Attribute[];
  readonly scope: Scope;
  /** Wall clock, ms. */
  readonly now: () => number;
}

export interface Sender<T> {
  send(batch: readonly T[]): Promise<SendOutcome>;
  close(): void;
}

const PROTOBUF = 'application/x-protobuf';
const ZIPKIN_PATH = '/api/v2/spans';

/** By gRPC unless the provider has a path. */
export function spanSender(options: SenderOptions): Sender<SpanRecord> {
  const { provider, resource, scope } = options;
  if (provider.kind === 'zipkin-trace') return zipkinSender(options);
  const message = (batch: readonly SpanRecord[]) => traceRequest(resource, scope, batch);
  if (provider.path === '') return grpcSender(options, TRACE_CALL, message);
  return httpSender(
    options,
    (batch) => serialize(ExportTraceServiceRequestSchema, message(batch)),
    (bytes) => {
      const { partialSuccess } = deserialize(ExportTraceServiceResponseSchema, bytes);
      return rejectedOf(partialSuccess?.rejectedSpans, partialSuccess?.errorMessage);
    },
  );
}

export function logSender(options: SenderOptions): Sender<LogRecord> {
  const { provider, resource, scope } = options;
  const message = (batch: readonly LogRecord[]) => logRequest(resource, scope, batch);
  if (provider.path === '') return grpcSender(options, LOGS_CALL, message);
  return httpSender(
    options,
    (batch) => serialize(ExportLogsServiceRequestSchema, message(batch)),
    (bytes) => {
      const { partialSuccess } = deserialize(ExportLogsServiceResponseSchema, bytes);
      return rejectedOf(partialSuccess?.rejectedLogRecords, partialSuccess?.errorMessage);
    },
  );
}

type Done = (error: ServiceError | null, rejected: Rejected) => void;

/** A service and its one call. */
interface UnaryService<M> {
  readonly connect: (address: string, authority: string) => Client;
  readonly call: (client: Client, message: M, metadata: Metadata, deadline: Date, done: Done) => void;
}

interface ExportClient<M, R> extends Client {
  export(
    message: M,
    metadata: Metadata,
    options: { readonly deadline: Date },
    done: (error: ServiceError | null, answer?: R) => void,
  ): void;
}

const TRACE_CALL: UnaryService<MessageInitShape<typeof ExportTraceServiceRequestSchema>> = {
  connect: connector(grpcService(TraceService)),
  call: (client, message, metadata, deadline, done) => {
    type Answer = { readonly partialSuccess?: { readonly rejectedSpans: bigint; readonly errorMessage: string } };
    (client as ExportClient<typeof message, Answer>).export(message, metadata, { deadline }, (error, answer) =>
      done(error, rejectedOf(answer?.partialSuccess?.rejectedSpans, answer?.partialSuccess?.errorMessage)),
    );
  },
};

const LOGS_CALL: UnaryService<MessageInitShape<typeof ExportLogsServiceRequestSchema>> = {
  connect: connector(grpcService(LogsService)),
  call: (client, message, metadata, deadline, done) => {
    type Answer = { readonly partialSuccess?: { readonly rejectedLogRecords: bigint; readonly errorMessage: string } };
    (client as ExportClient<typeof message, Answer>).export(message, metadata, { deadline }, (error, answer) =>
      done(error, rejectedOf(answer?.partialSuccess?.rejectedLogRecords, answer?.partialSuccess?.errorMessage)),
    );
  },
};

function connector(
  definition: Parameters<typeof makeGenericClientConstructor>[0],
): (address: string, authority: string) => Client {
  const Constructor = makeGenericClientConstructor(definition, 'Export');
  return (address, authority) => new Constructor(address, INSECURE, { 'grpc.default_authority': authority });
}

function rejectedOf(count: bigint | undefined, reason: string | undefined): Rejected {
  return count === undefined || count === 0n ? NONE_REJECTED : { count: Number(count), reason: reason ?? '' };
}

function grpcSender<M, T>(
  { now, place, provider }: SenderOptions,
  service: UnaryService<M>,
  message: (batch: readonly T[]) => M,
): Sender<T> {
  const transport = new GrpcTransport(place, service.connect, provider.timeoutMs, now);
  const metadata = new Metadata();
  for (const { name, value } of provider.extraHeaders) metadata.set(name, value);
  return {
    send: (batch) =>
      transport.call((client, deadline, done) => service.call(client, message(batch), metadata, deadline, done)),
    close: () => transport.close(),
  };
}

function httpSender<T>(
  { place, provider }: SenderOptions,
  body: (batch: readonly T[]) => Uint8Array,
  rejected: (answer: Buffer) => Rejected,
): Sender<T> {
  const headers = { ...headersOf(provider), 'content-type': PROTOBUF };
  const transport = new HttpTransport(place, provider.path, headers, provider.timeoutMs);
  const read = (answer: Buffer): Rejected => {
    try {
      return rejected(answer);
    } catch {
      // It took the batch; what else it says is its own matter.
      return NONE_REJECTED;
    }
  };
  return { send: (batch) => transport.post(body(batch), read), close: () => transport.close() };
}

function zipkinSender({ place, provider, resource }: SenderOptions): Sender<SpanRecord> {
  const service = String(resource.find(([key]) => key === 'service.name')?.[1] ?? '');
  const headers = { ...headersOf(provider), 'content-type': 'application/json' };
  const transport = new HttpTransport(place, provider.path || ZIPKIN_PATH, headers, provider.timeoutMs);
  return {
    send: (batch) => transport.post(zipkinSpans(service, batch), () => NONE_REJECTED),
    close: () => transport.close(),
  };
}

function headersOf({ extraHeaders }: Provider): Record<string, string> {
  return Object.fromEntries(extraHeaders.map(({ name, value }) => [name, value]));
}
