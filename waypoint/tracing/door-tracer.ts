// SPDX-License-Identifier: Apache-2.0
// Follows requests at doors that telemetry settings have traced. A request that is left out costs one look at its headers, and
// carries the decision on; nothing else is made for it.
import type { Tracing } from '#lib/mesh/http/telemetry.ts';
import type { Provider } from '#lib/mesh/http/waypoint.ts';
import type { HeadEdits } from '#lib/wire/http/edits.ts';
import type { FieldLine } from '#lib/wire/http/field-line.ts';
import type { RequestRecord } from '../record/request.ts';
import { type DecisionInputs, decide, type Mark, markedId, UUID_MARK } from './decision.ts';
import { FollowedRequest } from './followed-request.ts';
import type { Following, TracingMeans } from './means.ts';
import { type Formats, type Incoming, readIncoming, writeContext } from './propagation.ts';
import type { NamedRequest, RequestTrace, Tracer } from './tracer.ts';

export class DoorTracer implements Tracer, RequestTrace, Following {
  readonly tracing: Tracing;
  readonly provider: Provider;
  readonly means: TracingMeans;
  /** Of requests that are left out. */
  readonly traceId = '';
  readonly spanId = '';
  readonly #formats: Formats;

  constructor(tracing: Tracing, provider: Provider, means: TracingMeans) {
    this.tracing = tracing;
    this.provider = provider;
    this.means = means;
    const zipkin = provider.kind === 'zipkin-trace';
    this.#formats = { w3c: !zipkin || provider.w3cToo, b3Single: false, b3Multi: zipkin };
  }

  begin(record: NamedRequest): RequestTrace | null {
    const { head } = record.stream;
    const header = (name: string): string | undefined => head.get(name);
    const incoming = readIncoming(header);
    const { disablePropagation, share, useRequestId } = this.tracing;
    const requestId = useRequestId ? head.get('x-request-id') : undefined;
    const inputs: DecisionInputs = {
      sampled: incoming.sampled,
      requestId,
      forced: head.get('x-envoy-force-trace') !== undefined,
      clientTraced: head.get('x-client-trace-id') !== undefined,
      share,
    };
    const mark = decide(inputs, this.means.random);
    // What it came with says all there is to say.
    if (mark === UUID_MARK.none)
      return disablePropagation || (incoming.traceId !== '' && incoming.sampled === false) ? null : this;
    const id = useRequestId ? this.#idFor(record, requestId, mark) : null;
    return new FollowedRequest(this, record, incoming, requestId === undefined ? null : id);
  }

  /** The request's id with the decision in it; null when it stays as it is, or there is none. */
  #idFor(record: NamedRequest, given: string | undefined, mark: Mark): FieldLine | null {
    if (given === undefined && record.origin.door.settings.headers?.noRequestId === true) return null;
    const id = given ?? record.nameIt().value;
    const marked = markedId(id, mark);
    return marked === id ? null : record.rename(marked);
  }

  formatsFor({ formats }: Incoming): Formats {
    const own = this.#formats;
    return {
      w3c: own.w3c || formats.w3c,
      b3Single: own.b3Single || formats.b3Single,
      b3Multi: own.b3Multi || formats.b3Multi,
    };
  }

  // === RequestTrace, of those that are left out and that nobody has decided about before

  tryBegins(record: RequestRecord, edits: HeadEdits): void {
    if (record.attempts > 1) return;
    const { head } = record.stream;
    const incoming = readIncoming((name) => head.get(name));
    const { ids } = this.means;
    const traceId = incoming.traceId === '' ? ids.traceId() : incoming.traceId;
    writeContext(edits, { traceId, spanId: ids.spanId(), sampled: false }, incoming.spanId, this.formatsFor(incoming));
  }

  tryEnds(): void {}

  ends(): void {}
}
