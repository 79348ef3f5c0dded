// SPDX-License-Identifier: Apache-2.0
//
// Telemetry (telemetry.istio.io/v1) as the model reads it, and what names its metrics have.

import { table } from '#lib/kit/table.ts';
import type { CustomObject, Selector } from '../object/object.ts';
import type { TargetRef } from '../policy/authorization-spec.ts';

/** Which side of a request an entry is for; waypoints stand on the server's. */
export type Mode = 'CLIENT_AND_SERVER' | 'CLIENT' | 'SERVER';

interface ProviderRef {
  readonly name?: string;
}

export interface CustomTagSpec {
  readonly literal?: { readonly value?: string };
  readonly environment?: { readonly name?: string; readonly defaultValue?: string };
  readonly header?: { readonly name?: string; readonly defaultValue?: string };
  readonly formatter?: { readonly value?: string };
}

export interface TracingSpec {
  readonly match?: { readonly mode?: Mode };
  readonly providers?: readonly ProviderRef[];
  readonly randomSamplingPercentage?: number;
  readonly disableSpanReporting?: boolean;
  readonly customTags?: Readonly<Record<string, CustomTagSpec>>;
  readonly useRequestIdForTraceSampling?: boolean;
  readonly enableIstioTags?: boolean;
  readonly disableContextPropagation?: boolean;
}

export interface MetricOverrideSpec {
  readonly match?: { readonly metric?: string; readonly customMetric?: string; readonly mode?: Mode };
  readonly disabled?: boolean;
  readonly tagOverrides?: Readonly<Record<string, { readonly operation?: string; readonly value?: string }>>;
}

export interface MetricsSpec {
  readonly providers?: readonly ProviderRef[];
  readonly overrides?: readonly MetricOverrideSpec[];
}

export interface AccessLoggingSpec {
  readonly match?: { readonly mode?: Mode };
  readonly providers?: readonly ProviderRef[];
  readonly disabled?: boolean;
  readonly filter?: { readonly expression?: string };
}

export interface TelemetryObject extends CustomObject {
  readonly spec?: {
    readonly selector?: Selector;
    readonly targetRef?: TargetRef;
    readonly targetRefs?: readonly TargetRef[];
    readonly tracing?: readonly TracingSpec[];
    readonly metrics?: readonly MetricsSpec[];
    readonly accessLogging?: readonly AccessLoggingSpec[];
  } & Readonly<Record<string, unknown>>;
}

/** Names of metrics by the words of the API; '' for all. */
export const METRICS = table<string>({
  ALL_METRICS: '',
  REQUEST_COUNT: 'requests_total',
  REQUEST_DURATION: 'request_duration_milliseconds',
  REQUEST_SIZE: 'request_bytes',
  RESPONSE_SIZE: 'response_bytes',
  TCP_OPENED_CONNECTIONS: 'tcp_connections_opened_total',
  TCP_CLOSED_CONNECTIONS: 'tcp_connections_closed_total',
  TCP_SENT_BYTES: 'tcp_sent_bytes_total',
  TCP_RECEIVED_BYTES: 'tcp_received_bytes_total',
  GRPC_REQUEST_MESSAGES: 'request_messages_total',
  GRPC_RESPONSE_MESSAGES: 'response_messages_total',
});

/** Whether an entry is for a waypoint's side of requests. */
export function isForServers(match: { readonly mode?: Mode } | undefined): boolean {
  return match?.mode !== 'CLIENT';
}
