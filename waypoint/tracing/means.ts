// SPDX-License-Identifier: Apache-2.0
// What tracing needs: of the process, and of the door at which requests are followed.
import type { Tracing } from '#lib/mesh/http/telemetry.ts';
import type { Provider } from '#lib/mesh/http/waypoint.ts';
import type { ExportRecord } from '../export/record.ts';
import type { ProxyTags } from './attributes.ts';
import type { TraceIds } from './ids.ts';
import type { Formats, Incoming } from './propagation.ts';

/** What tracers of one process share. */
export interface TracingMeans {
  readonly ids: TraceIds;
  readonly tags: ProxyTags;
  readonly random: () => number;
  /** Each try is a span of its own under the request's. */
  readonly spansOfTries: boolean;
  readonly send: (record: ExportRecord) => void;
}

/** How requests of one door are followed. */
export interface Following {
  readonly means: TracingMeans;
  readonly tracing: Tracing;
  readonly provider: Provider;
  /** Of what goes to a server. */
  formatsFor(incoming: Incoming): Formats;
}
