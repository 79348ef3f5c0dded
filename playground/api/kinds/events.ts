// SPDX-License-Identifier: Apache-2.0
// Events are stored once and served by two groups: core/v1 and events.k8s.io/v1, with other names for the same fields.
import type { Json, JsonObject, KubeObject } from '../json.ts';
import type { Conversion } from './resource.ts';

const NAMES: readonly (readonly [core: string, modern: string])[] = [
  ['involvedObject', 'regarding'],
  ['message', 'note'],
  ['reportingComponent', 'reportingController'],
  ['source', 'deprecatedSource'],
  ['firstTimestamp', 'deprecatedFirstTimestamp'],
  ['lastTimestamp', 'deprecatedLastTimestamp'],
  ['count', 'deprecatedCount'],
];

function rename(object: KubeObject, apiVersion: string, from: 0 | 1): KubeObject {
  const names = new Map<string, string>(NAMES.map((pair) => [pair[from], pair[from === 0 ? 1 : 0]]));
  const result: JsonObject = {};
  for (const [key, value] of Object.entries(object)) result[names.get(key) ?? key] = value as Json;
  return { ...result, apiVersion, kind: 'Event', metadata: object.metadata };
}

export const eventConversion: Conversion = {
  toStorage: (object) => rename(object, 'v1', 1),
  fromStorage: (object) => rename(object, 'events.k8s.io/v1', 0),
};
