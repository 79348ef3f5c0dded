// SPDX-License-Identifier: Apache-2.0
//
// ProxyConfig (networking.istio.io/v1beta1) as far as it reaches a waypoint: how many processes it runs, and which
// variables its environment has. It is read when the pod is made.

import { parse } from 'yaml';
import { describeError } from '#lib/kit/error.ts';
import { fail, ok, type Result } from '#lib/kit/result.ts';
import { textOf } from '#lib/kit/text-of.ts';
import type { ProxyHeaders } from '#lib/mesh/http/waypoint.ts';
import type { CustomObject, Selector } from '../object/object.ts';
import { annotation } from '../object/object.ts';
import type { Gateway } from '../waypoint/gateway.ts';
import { readProxyHeaders } from './proxy-headers.ts';

export interface ProxyConfigObject extends CustomObject {
  readonly spec?: {
    readonly selector?: Selector;
    readonly concurrency?: number;
    readonly environmentVariables?: Readonly<Record<string, string>>;
    readonly image?: { readonly imageType?: string };
  } & Readonly<Record<string, unknown>>;
}

export type Fields = Readonly<Record<string, unknown>>;

/** What holds for one proxy. */
export interface ProxyValues {
  /** undefined: nobody says; 0: one for each processor. */
  readonly concurrency: number | undefined;
  readonly environment: Readonly<Record<string, string>>;
}

export const NO_PROXY_VALUES: ProxyValues = { concurrency: undefined, environment: {} };

export function valuesOf({ spec }: ProxyConfigObject): ProxyValues {
  return { concurrency: spec?.concurrency, environment: spec?.environmentVariables ?? {} };
}

/** A Gateway's own part of what the mesh's `defaultConfig` says of all, as YAML. */
export const PROXY_CONFIG = 'proxy.istio.io/config';

/** What a Gateway's own annotation says of its pods; nothing when it cannot be read. */
export function annotatedValues(gateway: Gateway): ProxyValues {
  return readProxyValues(annotated(gateway));
}

/** The same of headers; what it does not speak of is as in the mesh. */
export function annotatedHeaders(gateway: Gateway, ofMesh: ProxyHeaders | undefined): ProxyHeaders | undefined {
  return readProxyHeaders(annotated(gateway)['proxyHeaders'], () => {}, ofMesh);
}

function annotated(gateway: Gateway): Fields {
  const text = annotation(gateway, PROXY_CONFIG);
  const read = text === undefined ? undefined : readAnnotation(text);
  return read?.ok === true ? read.value : {};
}

/** The annotation's fields; a text that is no YAML, or no map, fails. */
export function readAnnotation(text: string): Result<Fields> {
  const fix = 'write a map as of defaultConfig, for example: {concurrency: 2}';
  let value: unknown;
  try {
    value = parse(text);
  } catch (error) {
    return fail({ field: PROXY_CONFIG, message: `is no YAML: ${describeError(error)}`, fix });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return fail({ field: PROXY_CONFIG, message: `${textOf(value)} is no map`, fix });
  return ok(value as Fields);
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

function asMap(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {};
}
