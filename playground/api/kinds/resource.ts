// SPDX-License-Identifier: Apache-2.0
// What the generic registry knows about one resource: names, versions with their schemas and columns, and the few
// rules of its own (defaults, validation). Core kinds come from `table.ts`, custom ones from their CRD.
import type { Problem } from '#lib/kit/result.ts';
import type { JsonObject, KubeObject } from '../json.ts';
import type { Resolve, Schema } from '../schema/schema.ts';
import type { Column } from '../table/column.ts';

/** JSON paths of the scale subresource. */
export interface ScalePaths {
  readonly specReplicasPath: string;
  readonly statusReplicasPath: string;
  readonly labelSelectorPath?: string;
}

export interface ServedVersion {
  readonly name: string;
  readonly schema: Schema;
  readonly resolve: Resolve;
  readonly status: boolean;
  readonly scale?: ScalePaths;
  readonly columns: readonly Column[];
  /** Paths offered to field selectors beside metadata.name and metadata.namespace. */
  readonly fields: readonly string[];
  readonly deprecation?: string;
  /** Model name of built-in kinds, for OpenAPI. */
  readonly model?: string;
}

/** A kind's own rules; every member works in place on an object the request owns. */
export interface Strategy {
  readonly defaults?: (object: KubeObject) => void;
  /** Before an object is first stored, beyond what every kind gets. */
  readonly prepareCreate?: (object: KubeObject) => void;
  readonly prepareUpdate?: (object: KubeObject, before: KubeObject) => void;
  readonly validate?: (object: KubeObject, before: KubeObject | undefined) => Problem[];
}

export interface Resource {
  readonly group: string;
  readonly plural: string;
  readonly singular: string;
  readonly kind: string;
  readonly listKind: string;
  readonly short: readonly string[];
  readonly categories: readonly string[];
  readonly namespaced: boolean;
  /** Name of the collection it is stored in; empty when it is only ever created and answered. */
  readonly storage: string;
  readonly storageVersion: string;
  readonly versions: ReadonlyMap<string, ServedVersion>;
  readonly custom: boolean;
  /** Subresources beside status and scale, with the kind they speak and their verbs. */
  readonly subresources: Readonly<Record<string, Subresource>>;
  readonly strategy: Strategy;
  readonly convert?: Conversion;
}

export interface Subresource {
  readonly kind: string;
  readonly group?: string;
  readonly version?: string;
  readonly verbs: readonly string[];
}

/** Between the stored form and the one this resource speaks; only events, which two groups serve, need it. */
export interface Conversion {
  readonly toStorage: (object: KubeObject) => KubeObject;
  readonly fromStorage: (object: KubeObject) => KubeObject;
}

export const apiVersionOf = (group: string, version: string): string => (group ? `${group}/${version}` : version);
export const gvk = (resource: Resource, version: string): JsonObject => ({
  group: resource.group,
  version,
  kind: resource.kind,
});
