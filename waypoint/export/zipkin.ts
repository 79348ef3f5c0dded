// SPDX-License-Identifier: Apache-2.0
// Spans as Zipkin's JSON, version 2: tags are texts, times microseconds.
import type { SpanRecord } from './record.ts';

/** @param service name of the local endpoint */
export function zipkinSpans(service: string, spans: readonly SpanRecord[]): Buffer {
  return Buffer.from(
    JSON.stringify(
      spans.map((span) => ({
        traceId: span.traceId,
        id: span.spanId,
        ...(span.parentId !== '' && { parentId: span.parentId }),
        name: span.name,
        kind: span.role === 'server' ? 'SERVER' : 'CLIENT',
        timestamp: Math.round(span.start * 1000),
        // Zero would read as unknown.
        duration: Math.max(1, Math.round((span.end - span.start) * 1000)),
        localEndpoint: { serviceName: service },
        tags: Object.fromEntries(span.attributes.map(([key, value]) => [key, String(value)])),
      })),
    ),
  );
}
