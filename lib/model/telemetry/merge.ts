// SPDX-License-Identifier: Apache-2.0
//
// Telemetry objects that hold at one place, and the mesh's defaults, as what a proxy does there. The list of the most
// specific object that has one replaces the others'; of tracing each field counts by itself, so that a namespace can
// change the share alone.

import type {
  AccessLogging,
  CustomTag,
  MetricOverride,
  MetricSettings,
  Telemetry,
  Tracing,
} from '#lib/mesh/http/telemetry.ts';
import type { Provider } from '#lib/mesh/http/waypoint.ts';
import type { MeshSettings } from '../mesh-settings.ts';
import {
  type AccessLoggingSpec,
  type CustomTagSpec,
  isForServers,
  METRICS,
  type MetricOverrideSpec,
  type MetricsSpec,
  type TelemetryObject,
} from './telemetry-spec.ts';

/** What of the mesh's settings telemetry depends on. */
export type TelemetryDefaults = Pick<MeshSettings, 'accessLog' | 'defaultProviders' | 'tracing'>;

/** Kinds of providers by what they take. */
const TRACERS: readonly Provider['kind'][] = ['otlp-trace', 'zipkin-trace'];
const LOGGERS: readonly Provider['kind'][] = ['file-log', 'otlp-log'];
/** The provider that stands for the mesh's own access log. */
export const MESH_LOG = 'envoy';

export type ProviderOf = (name: string) => Provider | undefined;

export function takesSpans(provider: Provider | undefined): boolean {
  return provider !== undefined && TRACERS.includes(provider.kind);
}

export function takesLines(provider: Provider | undefined): boolean {
  return provider !== undefined && LOGGERS.includes(provider.kind);
}

/**
 * @param name of the resource: a service's key, or `*`
 * @param objects the least specific first
 * @returns undefined when nobody says anything: the proxy's own settings hold
 */
export function mergeTelemetry(
  name: string,
  objects: readonly TelemetryObject[],
  mesh: TelemetryDefaults,
  providerOf: ProviderOf,
): Telemetry | undefined {
  const accessLogs = mergeLogs(objects, mesh, providerOf);
  const tracing = mergeTracing(objects, mesh, providerOf);
  const metrics = mergeMetrics(objects);
  if (accessLogs === undefined && tracing === undefined && metrics === undefined) return undefined;
  return { name, accessLogs, tracing, metrics };
}

function mergeLogs(
  objects: readonly TelemetryObject[],
  mesh: TelemetryDefaults,
  providerOf: ProviderOf,
): Telemetry['accessLogs'] {
  let providers = mesh.defaultProviders.accessLogging;
  if (mesh.accessLog.file !== '' && !providers.includes(MESH_LOG)) providers = [...providers, MESH_LOG];
  let entries: readonly AccessLoggingSpec[] | undefined = providers.length === 0 ? undefined : [{}];
  for (const { spec } of objects) {
    const own = (spec?.accessLogging ?? []).filter(({ match }) => isForServers(match));
    if (own.length === 0) continue;
    entries = own;
    const named = own.flatMap((entry) => namesOf(entry.providers));
    if (named.length > 0) providers = [...new Set(named)];
  }
  if (entries === undefined) return undefined;
  // An entry without providers is for all that there are so far; nobody named anywhere is the mesh's own log.
  const all = providers.length === 0 ? [MESH_LOG] : providers;
  const loggers = new Map<string, AccessLogging>();
  for (const { disabled, filter, providers: of } of entries) {
    for (const provider of namesOf(of).length === 0 ? all : namesOf(of)) {
      if (disabled === true || !takesLines(providerOf(provider))) loggers.delete(provider);
      else loggers.set(provider, { provider, filter: filter?.expression ?? '' });
    }
  }
  return { loggers: [...loggers.values()] };
}

function mergeTracing(
  objects: readonly TelemetryObject[],
  mesh: TelemetryDefaults,
  providerOf: ProviderOf,
): Tracing | undefined {
  let merged: Tracing = {
    provider: mesh.defaultProviders.tracing[0] ?? '',
    share: mesh.tracing.share,
    disabled: false,
    tags: customTags(mesh.tracing.tags),
    disablePropagation: false,
    useRequestId: true,
    meshTags: true,
  };
  for (const { spec } of objects) {
    for (const entry of spec?.tracing ?? []) {
      if (!isForServers(entry.match)) continue;
      const [provider = merged.provider] = namesOf(entry.providers);
      const percentage = entry.randomSamplingPercentage;
      merged = {
        provider,
        share: percentage === undefined ? merged.share : percentage / 100,
        disabled: entry.disableSpanReporting ?? merged.disabled,
        tags: entry.customTags === undefined ? merged.tags : customTags(entry.customTags),
        disablePropagation: entry.disableContextPropagation ?? merged.disablePropagation,
        useRequestId: entry.useRequestIdForTraceSampling ?? merged.useRequestId,
        meshTags: entry.enableIstioTags ?? merged.meshTags,
      };
    }
  }
  return takesSpans(providerOf(merged.provider)) ? merged : undefined;
}

/** In the order of their names. A formatter is no tag that can be told here. */
export function customTags(specs: Readonly<Record<string, CustomTagSpec>>): readonly CustomTag[] {
  return Object.entries(specs)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([name, { environment, header, literal }]): CustomTag[] => {
      if (literal !== undefined) return [{ name, kind: 'literal', value: literal.value ?? '', defaultValue: '' }];
      if (environment !== undefined) {
        const { defaultValue = '', name: value = '' } = environment;
        return [{ name, kind: 'environment', value, defaultValue }];
      }
      if (header === undefined) return [];
      return [
        { name, kind: 'header', value: (header.name ?? '').toLowerCase(), defaultValue: header.defaultValue ?? '' },
      ];
    });
}

/** What is said of one metric. */
interface Said {
  disabled: boolean;
  readonly tags: Map<string, { readonly remove: boolean; readonly value: string }>;
}

function mergeMetrics(objects: readonly TelemetryObject[]): MetricSettings | undefined {
  let entries: readonly MetricsSpec[] = [];
  for (const { spec } of objects) if ((spec?.metrics ?? []).length > 0) entries = spec?.metrics ?? [];
  const overrides = entries
    .filter(({ providers }) => providers === undefined || providers.length === 0 || isPrometheus(providers))
    .flatMap((entry) => entry.overrides ?? [])
    .filter(({ match }) => isForServers(match));
  if (overrides.length === 0) return undefined;
  const said = new Map<string, Said>();
  for (const metric of Object.values(METRICS))
    if (metric !== '') said.set(metric, { disabled: false, tags: new Map() });
  for (const override of overrides) apply(override, said);
  const disabled = [...said.values()].every((one) => one.disabled);
  return { disabled, overrides: disabled ? [] : [...said].flatMap(([metric, one]) => overrideOf(metric, one)) };
}

function isPrometheus(providers: readonly { readonly name?: string }[]): boolean {
  return providers.some(({ name }) => name === 'prometheus');
}

function apply({ disabled, match, tagOverrides = {} }: MetricOverrideSpec, said: Map<string, Said>): void {
  const name = match?.customMetric ?? METRICS[match?.metric ?? 'ALL_METRICS'];
  for (const [metric, one] of said) {
    if (name !== '' && name !== metric && name !== `istio_${metric}`) continue;
    if (disabled !== undefined) one.disabled = disabled;
    for (const [tag, { operation, value = '' }] of Object.entries(tagOverrides)) {
      const remove = operation === 'REMOVE';
      if (remove || value !== '') one.tags.set(tag, { remove, value: remove ? '' : value });
    }
  }
}

function overrideOf(metric: string, { disabled, tags }: Said): MetricOverride[] {
  if (!disabled && tags.size === 0) return [];
  return [{ metric, disabled, tags: [...tags].map(([name, one]) => ({ name, ...one })) }];
}

function namesOf(providers: readonly { readonly name?: string }[] | undefined): string[] {
  return (providers ?? []).flatMap(({ name }) => (name === undefined || name === '' ? [] : [name]));
}
