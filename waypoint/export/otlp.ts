// SPDX-License-Identifier: Apache-2.0
// Records as OTLP's messages (OpenTelemetry protocol 1.x).
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { AnyValueSchema, KeyValueSchema } from '#lib/proto/gen/otlp-common_pb.ts';
import type { ExportLogsServiceRequestSchema } from '#lib/proto/gen/otlp-logs_pb.ts';
import {
  type ExportTraceServiceRequestSchema,
  Span_SpanKind,
  Status_StatusCode,
} from '#lib/proto/gen/otlp-trace_pb.ts';
import type { Attribute, AttributeValue, LogRecord, SpanRecord } from './record.ts';

/** W3C's flag: sampled. */
const SAMPLED = 1;

/** @param resource who speaks */
export function traceRequest(
  resource: readonly Attribute[],
  scope: Scope,
  spans: readonly SpanRecord[],
): MessageInitShape<typeof ExportTraceServiceRequestSchema> {
  return {
    resourceSpans: [
      {
        resource: { attributes: resource.map(keyValue) },
        scopeSpans: [
          {
            scope,
            spans: spans.map((span) => ({
              traceId: Buffer.from(span.traceId, 'hex'),
              spanId: Buffer.from(span.spanId, 'hex'),
              parentSpanId: Buffer.from(span.parentId, 'hex'),
              traceState: span.state,
              flags: SAMPLED,
              name: span.name,
              kind: span.role === 'server' ? Span_SpanKind.SERVER : Span_SpanKind.CLIENT,
              startTimeUnixNano: nanoseconds(span.start),
              endTimeUnixNano: nanoseconds(span.end),
              attributes: span.attributes.map(keyValue),
              ...(span.error && { status: { code: Status_StatusCode.ERROR } }),
            })),
          },
        ],
      },
    ],
  };
}

export function logRequest(
  resource: readonly Attribute[],
  scope: Scope,
  records: readonly LogRecord[],
): MessageInitShape<typeof ExportLogsServiceRequestSchema> {
  return {
    resourceLogs: [
      {
        resource: { attributes: resource.map(keyValue) },
        scopeLogs: [
          {
            scope,
            logRecords: records.map((record) => ({
              timeUnixNano: nanoseconds(record.time),
              observedTimeUnixNano: nanoseconds(record.time),
              body: anyValue(record.text),
              attributes: record.attributes.map(keyValue),
              traceId: Buffer.from(record.traceId, 'hex'),
              spanId: Buffer.from(record.spanId, 'hex'),
            })),
          },
        ],
      },
    ],
  };
}

export interface Scope {
  readonly name: string;
  readonly version: string;
}

function keyValue([key, value]: Attribute): MessageInitShape<typeof KeyValueSchema> {
  return { key, value: anyValue(value) };
}

function anyValue(value: AttributeValue): MessageInitShape<typeof AnyValueSchema> {
  if (typeof value === 'string') return { value: { case: 'stringValue', value } };
  if (typeof value === 'boolean') return { value: { case: 'boolValue', value } };
  if (Number.isSafeInteger(value)) return { value: { case: 'intValue', value: BigInt(value) } };
  return { value: { case: 'doubleValue', value } };
}

/** Microseconds are all that a clock of the processes gives. */
function nanoseconds(ms: number): bigint {
  return BigInt(Math.round(ms * 1000)) * 1000n;
}
