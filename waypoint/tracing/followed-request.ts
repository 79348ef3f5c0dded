// SPDX-License-Identifier: Apache-2.0
// One request that is traced: its own span, one for each try when that is wanted, and the headers by which servers go on with it.
import type { HeadEdits } from '#lib/wire/http/edits.ts';
import type { FieldLine } from '#lib/wire/http/field-line.ts';
import type { TraceContext } from '#lib/wire/trace/context.ts';
import type { Attribute, SpanRecord } from '../export/record.ts';
import type { Exchange } from '../path/exchange.ts';
import type { RequestTrace } from '../path/trace.ts';
import { clusterName } from '../telemetry/cluster-name.ts';
import { customTags, isError, meshTags, proxyTags, requestTags } from './attributes.ts';
import type { DoorTracer } from './door-tracer.ts';
import { operationOf } from './operation.ts';
import { type Incoming, writeContext } from './propagation.ts';

/** Envoy's default for the path in `http.url`. */
const MAX_URL = 256;

/** A try that is not over yet. */
interface Try {
  readonly spanId: string;
  readonly start: number;
  readonly number: number;
  readonly address: string;
  readonly cluster: string;
  status: number;
  cause: string;
}

export class FollowedRequest implements RequestTrace {
  readonly traceId: string;
  readonly spanId: string;
  readonly #tracer: DoorTracer;
  readonly #incoming: Incoming;
  /** What the client called the request, with the decision in it. */
  readonly #id: FieldLine | null;
  readonly #start: number;
  #try: Try | null = null;

  constructor(tracer: DoorTracer, exchange: Exchange, incoming: Incoming, id: FieldLine | null) {
    const { ids } = tracer.means;
    this.#tracer = tracer;
    this.#incoming = incoming;
    this.#id = id;
    this.traceId = incoming.traceId === '' ? ids.traceId() : incoming.traceId;
    this.spanId = ids.spanId();
    this.#start = exchange.startedAt;
  }

  tryBegins(exchange: Exchange, edits: HeadEdits): void {
    const { means, tracing } = this.#tracer;
    this.#endTry(exchange);
    if (this.#id !== null) edits.setLine(this.#id);
    let context: TraceContext = { traceId: this.traceId, spanId: this.spanId, sampled: true };
    let parentId = this.#incoming.spanId;
    if (means.spansOfTries) {
      const spanId = means.ids.spanId();
      this.#try = {
        spanId,
        start: exchange.runtime.now(),
        number: exchange.attempts,
        address: exchange.member?.address ?? '',
        cluster: exchange.cluster === null ? '' : clusterName(exchange),
        status: 0,
        cause: '',
      };
      parentId = this.spanId;
      context = { ...context, spanId };
    }
    if (!tracing.disablePropagation) writeContext(edits, context, parentId, this.#tracer.formatsFor(this.#incoming));
  }

  tryEnds(_exchange: Exchange, cause: string, status: number): void {
    if (this.#try === null) return;
    this.#try.status = status;
    this.#try.cause = cause;
  }

  ends(exchange: Exchange): void {
    this.#endTry(exchange);
    const { means, provider, tracing } = this.#tracer;
    if (tracing.disabled) return;
    const maxUrl = provider.maxTagLength === 0 ? MAX_URL : provider.maxTagLength;
    const attributes = [
      ...requestTags(exchange, means.tags, maxUrl),
      ...customTags(tracing.tags, exchange),
      ...(tracing.meshTags ? [...proxyTags(means.tags), ...meshTags(exchange)] : []),
    ];
    means.send({
      ...this.#span(exchange, this.spanId, this.#incoming.spanId, this.#start),
      role: 'server',
      name: operationOf(exchange),
      error: isError(exchange),
      attributes,
    });
  }

  #endTry(exchange: Exchange): void {
    const one = this.#try;
    const { means, tracing } = this.#tracer;
    this.#try = null;
    if (one === null || tracing.disabled) return;
    const error = one.status === 0 || one.status >= 500;
    const attributes: Attribute[] = [
      ['component', 'proxy'],
      ['upstream_cluster', one.cluster],
      ['upstream_cluster.name', one.cluster],
      ['upstream_address', one.address],
      ['http.protocol', exchange.stream.head.protocol],
      ['http.status_code', String(one.status)],
      ['retry.count', String(one.number - 1)],
    ];
    if (one.cause !== '') attributes.push(['error.cause', one.cause]);
    if (error) attributes.push(['error', 'true']);
    means.send({
      ...this.#span(exchange, one.spanId, this.spanId, one.start),
      role: 'client',
      name: `router ${one.cluster} egress`,
      error,
      attributes,
    });
  }

  #span(
    { runtime }: Exchange,
    spanId: string,
    parentId: string,
    start: number,
  ): Omit<SpanRecord, 'role' | 'name' | 'error' | 'attributes'> {
    const { traceId } = this;
    const { state } = this.#incoming;
    return {
      kind: 'span',
      to: this.#tracer.provider.name,
      traceId,
      spanId,
      parentId,
      state,
      start,
      end: runtime.now(),
    };
  }
}
