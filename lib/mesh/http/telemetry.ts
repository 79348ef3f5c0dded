// SPDX-License-Identifier: Apache-2.0
//
// What a waypoint is told to log, trace and count for a service: ambit.waypoint.v1.Telemetry as plain values.

export interface AccessLogging {
  /** Name of a provider. */
  readonly provider: string;
  /** CEL; '' logs all. */
  readonly filter: string;
}

export interface CustomTag {
  readonly name: string;
  readonly kind: 'literal' | 'environment' | 'header';
  readonly value: string;
  readonly defaultValue: string;
}

export interface Tracing {
  readonly provider: string;
  /** Of requests that carry no decision of their own, 0 to 1. */
  readonly share: number;
  /** Decided and propagated, and not reported. */
  readonly disabled: boolean;
  readonly tags: readonly CustomTag[];
  readonly disablePropagation: boolean;
  readonly useRequestId: boolean;
  /** Tags that tell of the mesh (`istio.*`). */
  readonly meshTags: boolean;
}

export interface MetricOverride {
  /** Without prefix, `requests_total`; '' for all. */
  readonly metric: string;
  readonly disabled: boolean;
  readonly tags: readonly { readonly name: string; readonly remove: boolean; readonly value: string }[];
}

/** What is counted and how it is labelled; of overrides the later wins. */
export interface MetricSettings {
  readonly disabled: boolean;
  readonly overrides: readonly MetricOverride[];
}

export interface Telemetry {
  /** Key of a service, or `*` for the rest. */
  readonly name: string;
  /** undefined: as the proxy itself is set. */
  readonly accessLogs: { readonly loggers: readonly AccessLogging[] } | undefined;
  readonly tracing: Tracing | undefined;
  readonly metrics: MetricSettings | undefined;
}
