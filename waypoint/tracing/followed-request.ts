// SPDX-License-Identifier: Apache-2.0
// One request that is traced: its own span, one for each try when that is wanted, and the headers by which servers go on with it.
import type { HeadEdits } from '#lib/wire/http/edits.ts';
import type { FieldLine } from '#lib/wire/http/field-line.ts';
import type { TraceContext } from '#lib/wire/trace/context.ts';
import type { Attribute, SpanRecord } from '../export/record.ts';
import type { RequestRecord } from '../record/request.ts';
import { clusterName } from '../telemetry/cluster-name.ts';
import { customTags, isError, meshTags, proxyTags, requestTags } from './attributes.ts';
import type { Following } from './means.ts';
import { operationOf } from './operation.ts';
import { type Incoming, writeContext } from './propagation.ts';
import type { RequestTrace } from './tracer.ts';

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
  readonly #following: Following;
  readonly #incoming: Incoming;
  /** What the client called the request, with the decision in it. */
  readonly #id: FieldLine | null;
  readonly #start: number;
  #try: Try | null = null;

  constructor(following: Following, record: RequestRecord, incoming: Incoming, id: FieldLine | null) {
    const { ids } = following.means;
    this.#following = following;
    this.#incoming = incoming;
    this.#id = id;
    this.traceId = incoming.traceId === '' ? ids.traceId() : incoming.traceId;
    this.spanId = ids.spanId();
    this.#start = record.startedAt;
  }

  tryBegins(record: RequestRecord, edits: HeadEdits): void {
    const { means, tracing } = this.#following;
    this.#endTry(record);
    if (this.#id !== null) edits.setLine(this.#id);
    let context: TraceContext = { traceId: this.traceId, spanId: this.spanId, sampled: true };
    let parentId = this.#incoming.spanId;
    if (means.spansOfTries) {
      const spanId = means.ids.spanId();
      this.#try = {
        spanId,
        start: record.runtime.now(),
        number: record.attempts,
        address: record.member?.address ?? '',
        cluster: record.cluster === null ? '' : clusterName(record),
        status: 0,
        cause: '',
      };
      parentId = this.spanId;
      context = { ...context, spanId };
    }
    if (!tracing.disablePropagation) writeContext(edits, context, parentId, this.#following.formatsFor(this.#incoming));
  }

  tryEnds(_record: RequestRecord, cause: string, status: number): void {
    if (this.#try === null) return;
    this.#try.status = status;
    this.#try.cause = cause;
  }

  ends(record: RequestRecord): void {
    this.#endTry(record);
    const { means, provider, tracing } = this.#following;
    if (tracing.disabled) return;
    const maxUrl = provider.maxTagLength === 0 ? MAX_URL : provider.maxTagLength;
    const attributes = [
      ...requestTags(record, means.tags, maxUrl),
      ...customTags(tracing.tags, record),
      ...(tracing.meshTags ? [...proxyTags(means.tags), ...meshTags(record)] : []),
    ];
    means.send({
      ...this.#span(record, this.spanId, this.#incoming.spanId, this.#start),
      role: 'server',
      name: operationOf(record),
      error: isError(record),
      attributes,
    });
  }

  #endTry(record: RequestRecord): void {
    const one = this.#try;
    const { means, tracing } = this.#following;
    this.#try = null;
    if (one === null || tracing.disabled) return;
    const error = one.status === 0 || one.status >= 500;
    const attributes: Attribute[] = [
      ['component', 'proxy'],
      ['upstream_cluster', one.cluster],
      ['upstream_cluster.name', one.cluster],
      ['upstream_address', one.address],
      ['http.protocol', record.stream.head.protocol],
      ['http.status_code', String(one.status)],
      ['retry.count', String(one.number - 1)],
    ];
    if (one.cause !== '') attributes.push(['error.cause', one.cause]);
    if (error) attributes.push(['error', 'true']);
    means.send({
      ...this.#span(record, one.spanId, this.spanId, one.start),
      role: 'client',
      name: `router ${one.cluster} egress`,
      error,
      attributes,
    });
  }

  #span(
    { runtime }: RequestRecord,
    spanId: string,
    parentId: string,
    start: number,
  ): Omit<SpanRecord, 'role' | 'name' | 'error' | 'attributes'> {
    const { traceId } = this;
    const { state } = this.#incoming;
    return {
      kind: 'span',
      to: this.#following.provider.name,
      traceId,
      spanId,
      parentId,
      state,
      start,
      end: runtime.now(),
    };
  }
}
