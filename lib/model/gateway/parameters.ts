// SPDX-License-Identifier: Apache-2.0
//
// What users add to the objects that are made for a Gateway: a ConfigMap for all Gateways of a class, and one that a
// Gateway names in `spec.infrastructure.parametersRef`. Each key holds YAML for one object.

import { parseDocument } from 'yaml';
import { fail, ok, type Problem, type Result } from '#lib/kit/result.ts';
import { byAge, type KubeObject, keyOf, label, namespaceOf } from '../object/object.ts';
import type { Gateway } from '../waypoint/gateway.ts';
import { strategicMerge } from './merge.ts';

export interface ConfigMap extends KubeObject {
  readonly data?: Readonly<Record<string, string>>;
}

/** Label of a ConfigMap in istiod's namespace whose additions hold for every Gateway of the class it names. */
export const DEFAULTS_FOR_CLASS = 'gateway.istio.io/defaults-for-class';

/** Keys of such ConfigMaps, by the kind they add to. */
export const OVERLAY_KEYS = {
  deployment: 'Deployment',
  service: 'Service',
  serviceAccount: 'ServiceAccount',
  horizontalPodAutoscaler: 'HorizontalPodAutoscaler',
  podDisruptionBudget: 'PodDisruptionBudget',
} as const;

export type OverlayKind = (typeof OVERLAY_KEYS)[keyof typeof OVERLAY_KEYS];

/** Additions by kind, in the order in which they are merged. */
export type Overlays = Readonly<Partial<Record<OverlayKind, readonly Readonly<Record<string, unknown>>[]>>>;

interface ParametersRef {
  readonly group?: string;
  readonly kind?: string;
  readonly name?: string;
}

/** What `spec.infrastructure.parametersRef` names: the key of a ConfigMap, nothing, or a reference we cannot follow. */
export function parametersOf(gateway: Gateway): Result<string | undefined> {
  const { parametersRef } = (gateway.spec?.['infrastructure'] ?? {}) as { readonly parametersRef?: ParametersRef };
  if (parametersRef === undefined) return ok(undefined);
  const { group = '', kind, name = '' } = parametersRef;
  if (group === '' && kind === 'ConfigMap') return ok(`${namespaceOf(gateway)}/${name}`);
  const what = group === '' ? String(kind) : `${kind}.${group}`;
  return fail({ field: REF, message: `refers to a ${what}`, fix: 'refer to a ConfigMap of the same namespace' });
}

const REF = 'spec.infrastructure.parametersRef';

/** The class's ConfigMap: of several the oldest. */
export function defaultsOfClass(maps: Iterable<ConfigMap>, className: string): ConfigMap | undefined {
  return [...maps].filter((map) => label(map, DEFAULTS_FOR_CLASS) === className).sort(byAge)[0];
}

/** Reads the additions of both ConfigMaps; all problems name the ConfigMap and the key. */
export function readOverlays(maps: readonly (ConfigMap | undefined)[]): Result<Overlays> {
  const overlays: Partial<Record<OverlayKind, readonly Readonly<Record<string, unknown>>[]>> = {};
  const problems: Problem[] = [];
  for (const map of maps) {
    if (map === undefined) continue;
    for (const [key, text] of Object.entries(map.data ?? {})) {
      const field = `ConfigMap ${keyOf(map)}: data.${key}`;
      if (!isOverlayKey(key)) {
        problems.push({ field, message: 'is no known key', fix: `use ${Object.keys(OVERLAY_KEYS).join(', ')}` });
        continue;
      }
      const read = readOverlay(text, field, OVERLAY_KEYS[key]);
      const kind = OVERLAY_KEYS[key];
      if (read.ok) overlays[kind] = [...(overlays[kind] ?? []), read.value];
      else problems.push(...read.problems);
    }
  }
  return problems.length === 0 ? ok(overlays) : { ok: false, problems };
}

function isOverlayKey(key: string): key is keyof typeof OVERLAY_KEYS {
  return Object.hasOwn(OVERLAY_KEYS, key);
}

function readOverlay(text: string, field: string, kind: string): Result<Readonly<Record<string, unknown>>> {
  const document = parseDocument(text);
  const [broken] = document.errors;
  if (broken !== undefined) {
    return fail({ field, message: `not readable as YAML: ${broken.message.split('\n')[0]}`, fix: 'correct it' });
  }
  const value: unknown = document.toJS();
  if (value === null) return ok({});
  if (typeof value !== 'object' || Array.isArray(value)) {
    return fail({ field, message: 'is no map', fix: `write the part of the ${kind} that is to differ` });
  }
  const { kind: named, metadata } = value as {
    readonly kind?: unknown;
    readonly metadata?: Readonly<Record<string, unknown>>;
  };
  const fixed = [
    named !== undefined && named !== kind ? 'kind' : '',
    metadata?.['name'] !== undefined ? 'metadata.name' : '',
    metadata?.['namespace'] !== undefined ? 'metadata.namespace' : '',
  ].find((name) => name !== '');
  if (fixed !== undefined) return fail({ field, message: `changes ${fixed}`, fix: `leave ${fixed} out` });
  const { apiVersion: _, kind: __, ...rest } = value as Record<string, unknown>;
  return ok(rest);
}

/** The object with all additions for its kind. */
export function withOverlays<T extends object>(object: T, overlays: Overlays, kind: OverlayKind): T {
  return (overlays[kind] ?? []).reduce<T>((merged, overlay) => strategicMerge(merged, overlay) as T, object);
}
