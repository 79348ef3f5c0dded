// SPDX-License-Identifier: Apache-2.0
//
// ProxyConfig (networking.istio.io/v1beta1) as far as it reaches a waypoint: how many processes it runs, and which
// variables its environment has. It is read when the pod is made.

import { parse } from 'yaml';
import type { CustomObject, Selector } from '../object/object.ts';
import { annotation } from '../object/object.ts';
import type { Gateway } from '../waypoint/gateway.ts';

export interface ProxyConfigObject extends CustomObject {
  readonly spec?: {
    readonly selector?: Selector;
    readonly concurrency?: number;
    readonly environmentVariables?: Readonly<Record<string, string>>;
    readonly image?: { readonly imageType?: string };
  } & Readonly<Record<string, unknown>>;
}

/** What holds for one proxy. */
export interface ProxyValues {
  /** undefined: nobody says; 0: one for each processor. */
  readonly concurrency: number | undefined;
  readonly environment: Readonly<Record<string, string>>;
}

export const NO_PROXY_VALUES: ProxyValues = { concurrency: undefined, environment: {} };

const ANNOTATION = 'proxy.istio.io/config';

export function valuesOf({ spec }: ProxyConfigObject): ProxyValues {
  return { concurrency: spec?.concurrency, environment: spec?.environmentVariables ?? {} };
}

/** What a Gateway's own annotation says; nothing when it cannot be read. */
export function annotatedValues(gateway: Gateway): ProxyValues {
  const text = annotation(gateway, ANNOTATION);
  if (text === undefined) return NO_PROXY_VALUES;
  try {
    return readProxyValues(parse(text));
  } catch {
    return NO_PROXY_VALUES;
  }
}

/** Of `defaultConfig` in the mesh's settings, or of the annotation: variables are called metadata there. */
export function readProxyValues(value: unknown): ProxyValues {
  if (typeof value !== 'object' || value === null) return NO_PROXY_VALUES;
  const { concurrency, environmentVariables, proxyMetadata } = value as Readonly<Record<string, unknown>>;
  const given = { ...asMap(proxyMetadata), ...asMap(environmentVariables) };
  return {
    concurrency: typeof concurrency === 'number' && Number.isInteger(concurrency) ? concurrency : undefined,
    environment: Object.fromEntries(Object.entries(given).map(([key, one]) => [key, String(one)])),
  };
}

/** The least specific first. */
export function mergeValues(all: readonly ProxyValues[]): ProxyValues {
  let merged = NO_PROXY_VALUES;
  for (const { concurrency, environment } of all) {
    merged = {
      concurrency: concurrency ?? merged.concurrency,
      environment: { ...merged.environment, ...environment },
    };
  }
  return merged;
}

function asMap(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Readonly<Record<string, unknown>>)
    : {};
}
