// SPDX-License-Identifier: Apache-2.0
// One schema type for everything the server knows about shapes: core kinds (built from the Kubernetes client's models)
// and custom resources (from their CRD). Validation, pruning, defaulting, strategic merge and server-side apply all
// walk it. Source: OpenAPI v3 schema objects and the x-kubernetes-* extensions of apiextensions/v1 JSONSchemaProps.
import type { Json } from '../json.ts';

export interface Schema {
  /** Name of a built-in model; `deref` resolves it. Lazy, because some models contain themselves. */
  readonly ref?: string;
  readonly type?: string;
  readonly format?: string;
  readonly description?: string;
  readonly properties?: { readonly [name: string]: Schema };
  readonly additionalProperties?: Schema | boolean;
  readonly items?: Schema;
  readonly required?: readonly string[];
  readonly default?: Json;
  readonly nullable?: boolean;
  readonly enum?: readonly Json[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: boolean;
  readonly exclusiveMaximum?: boolean;
  readonly multipleOf?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly minProperties?: number;
  readonly maxProperties?: number;
  readonly uniqueItems?: boolean;
  readonly allOf?: readonly Schema[];
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly not?: Schema;
  readonly 'x-kubernetes-list-type'?: 'atomic' | 'set' | 'map';
  readonly 'x-kubernetes-list-map-keys'?: readonly string[];
  readonly 'x-kubernetes-map-type'?: 'atomic' | 'granular';
  readonly 'x-kubernetes-preserve-unknown-fields'?: boolean;
  readonly 'x-kubernetes-int-or-string'?: boolean;
  readonly 'x-kubernetes-embedded-resource'?: boolean;
  readonly 'x-kubernetes-validations'?: readonly ValidationRule[];
  readonly 'x-kubernetes-patch-merge-key'?: string;
  readonly 'x-kubernetes-patch-strategy'?: string;
}

/** One CEL rule of a custom resource's schema. */
export interface ValidationRule {
  readonly rule: string;
  readonly message?: string;
  readonly messageExpression?: string;
  readonly reason?: string;
  readonly fieldPath?: string;
}

/** Resolves a model name to its schema. */
export type Resolve = (ref: string) => Schema;

/** The schema of a member or map value; undefined where anything may stand. */
export function memberSchema(schema: Schema | undefined, name: string, resolve: Resolve): Schema | undefined {
  const own = schema?.properties?.[name];
  if (own && Object.hasOwn(schema!.properties!, name)) return deref(own, resolve);
  const more = schema?.additionalProperties;
  return typeof more === 'object' ? deref(more, resolve) : undefined;
}

export function itemSchema(schema: Schema | undefined, resolve: Resolve): Schema | undefined {
  return schema?.items ? deref(schema.items, resolve) : undefined;
}

/** Follows `ref`; what the referring place says (description, list type) wins over the model. */
export function deref(schema: Schema, resolve: Resolve): Schema {
  return schema.ref === undefined ? schema : resolve(schema.ref);
}
