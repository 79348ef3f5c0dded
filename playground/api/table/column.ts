// SPDX-License-Identifier: Apache-2.0
// Columns of `kubectl get` and the Table that carries them. Source: meta/v1 Table.
import { isObject, type Json, type JsonObject, type KubeObject, textAt } from '../json.ts';

export interface Column {
  readonly name: string;
  readonly type: string;
  readonly format?: string;
  readonly description?: string;
  /** 0 is always shown, above only with `-o wide`. */
  readonly priority: number;
  readonly cell: (object: KubeObject, now: number) => Json;
}

/** What a row carries beside its cells. */
export type IncludeObject = 'None' | 'Metadata' | 'Object';

export const column = (name: string, cell: Column['cell'], priority = 0, type = 'string'): Column => ({
  name,
  type,
  ...(name === 'Name' ? { format: 'name' } : {}),
  description: name,
  priority,
  cell,
});

export const NAME = column('Name', (object) => object.metadata.name ?? '');
export const AGE = column('Age', (object, now) => age(textAt(object, 'metadata', 'creationTimestamp'), now));
export const columnDefinitions = (columns: readonly Column[]): Json[] =>
  columns.map(({ name, type, format, description, priority }) => ({
    name,
    type,
    format: format ?? '',
    description: description ?? '',
    priority,
  }));

export function row(columns: readonly Column[], object: KubeObject, include: IncludeObject, now: number): JsonObject {
  return {
    cells: columns.map((entry) => entry.cell(object, now)),
    ...(include === 'None' ? {} : { object: include === 'Object' ? object : partial(object) }),
  };
}

/** The object reduced to its metadata. */
export const partial = (object: KubeObject): JsonObject => ({
  kind: 'PartialObjectMetadata',
  apiVersion: 'meta.k8s.io/v1',
  metadata: object.metadata,
});

/** Time since `timestamp` the way kubectl writes it: 5s, 3m20s, 4h, 3d2h, 12d. */
export function age(timestamp: string | undefined, now: number): string {
  const then = timestamp === undefined ? Number.NaN : Date.parse(timestamp);
  if (Number.isNaN(then)) return '<unknown>';
  return duration(Math.max(0, Math.floor((now - then) / 1000)));
}

const pair = (big: number, unit: string, small: number, next: string): string =>
  small ? `${big}${unit}${small}${next}` : `${big}${unit}`;

/** Seconds in at most two units, coarser the longer they are. */
export function duration(seconds: number): string {
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  const days = Math.floor(hours / 24);
  if (seconds < 120) return `${seconds}s`;
  if (minutes < 10) return pair(minutes, 'm', seconds % 60, 's');
  if (hours < 3) return `${minutes}m`;
  if (hours < 8) return pair(hours, 'h', minutes % 60, 'm');
  if (hours < 48) return `${hours}h`;
  if (days < 8) return pair(days, 'd', hours % 24, 'h');
  if (days < 730) return `${days}d`;
  return pair(Math.floor(days / 365), 'y', days < 2920 ? days % 365 : 0, 'd');
}

/** Labels as `a=b,c=d`, or `<none>`. */
export function labelText(labels: Json | undefined): string {
  const pairs = isObject(labels) ? Object.entries(labels).map(([key, value]) => `${key}=${String(value)}`) : [];
  return pairs.length === 0 ? '<none>' : pairs.sort().join(',');
}
