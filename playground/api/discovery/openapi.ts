// SPDX-License-Identifier: Apache-2.0
// OpenAPI documents, made on demand from the same schemas that validate: v3 one a group version (kubectl explain,
// field validation, apply), v2 as one document for older tools. Source: OpenAPI v3 and v2; x-kubernetes-* extensions.
import type { Json, JsonObject } from '../json.ts';
import type { Catalog } from '../kinds/catalog.ts';
import { apiVersionOf, gvk, type Resource, type ServedVersion } from '../kinds/resource.ts';
import type { BuiltinSchemas } from '../schema/builtin.ts';
import type { Schema } from '../schema/schema.ts';

type Dialect = 'v2' | 'v3';
const PREFIX: Readonly<Record<Dialect, string>> = { v2: '#/definitions/', v3: '#/components/schemas/' };
const META = 'V1ObjectMeta';

/** The public name of a model: its last part is what `kubectl explain` shows. */
export function schemaName(model: string): string {
  const [, version = 'v1', name = model] =
    /^(?:Core|Events|Discovery|Storage|Authentication|Rbac|Flowcontrol|Admissionregistration|Apiextensions|Resource)?(V\d+(?:(?:alpha|beta)\d+)?)(.+)$/.exec(
      model,
    ) ?? [];
  const space =
    /^(Object|Label|Owner|Managed|Status|List)(Meta|Selector|Reference|Fields|Selector\w+)/.test(name) &&
    name !== 'ObjectReference';
  return `${space ? 'io.k8s.apimachinery.pkg.apis.meta' : 'io.k8s.api.core'}.${version.toLowerCase()}.${name}`;
}

const customName = (resource: Resource, version: ServedVersion): string =>
  [...resource.group.split('.').reverse(), version.name, resource.kind].join('.');

/** Version 2 cannot say that a value may have more members than are named, or be null: it then says nothing of its shape. */
const isOpen = (schema: Schema): boolean =>
  schema['x-kubernetes-preserve-unknown-fields'] === true || schema.nullable === true;
const CLOSING: ReadonlySet<string> = new Set([
  ...['type', 'properties', 'items', 'additionalProperties', 'required', 'nullable', 'enum', 'format'],
]);

/** Collects schemas into one document's components. */
class Components {
  readonly #schemas: BuiltinSchemas;
  readonly #dialect: Dialect;
  readonly all: Record<string, JsonObject> = {};

  constructor(schemas: BuiltinSchemas, dialect: Dialect) {
    this.#schemas = schemas;
    this.#dialect = dialect;
  }

  model(model: string, extra: JsonObject = {}): JsonObject {
    const name = schemaName(model);
    if (!this.all[name]) {
      this.all[name] = {};
      this.all[name] = this.convert(this.#schemas.resolve(model));
    }
    Object.assign(this.all[name]!, extra);
    return { $ref: `${PREFIX[this.#dialect]}${name}` };
  }

  kind(resource: Resource, version: ServedVersion): JsonObject {
    const kinds = { 'x-kubernetes-group-version-kind': [gvk(resource, version.name)] };
    if (version.model) return this.model(version.model, kinds);
    const name = customName(resource, version);
    if (!this.all[name]) {
      const body = this.convert(version.schema);
      if (this.#dialect === 'v2' && isOpen(version.schema)) {
        this.all[name] = { ...body, type: 'object', ...kinds };
        return { $ref: `${PREFIX[this.#dialect]}${name}` };
      }
      const properties = { ...(body['properties'] as JsonObject | undefined), ...typeMembers() };
      properties['metadata'] = this.#ref({ ref: META });
      this.all[name] = { ...body, type: 'object', properties, ...kinds };
    }
    return { $ref: `${PREFIX[this.#dialect]}${name}` };
  }

  convert(schema: Schema): JsonObject {
    if (schema.ref !== undefined) return this.#ref(schema);
    const result: JsonObject = {};
    const open = this.#dialect === 'v2' && isOpen(schema);
    for (const [key, value] of Object.entries(schema)) {
      if (open && CLOSING.has(key)) continue;
      if (key === 'properties') result[key] = this.#map(value as Record<string, Schema>);
      else if (key === 'items' || key === 'not') result[key] = this.convert(value as Schema);
      else if (key === 'additionalProperties')
        result[key] = typeof value === 'object' ? this.convert(value as Schema) : (value as boolean);
      else if (key === 'allOf' || key === 'anyOf' || key === 'oneOf') {
        if (this.#dialect === 'v3') result[key] = (value as Schema[]).map((part) => this.convert(part));
      } else result[key] = value as Json;
    }
    if (schema.format === 'int-or-string')
      return {
        ...result,
        ...(this.#dialect === 'v2' ? { type: 'string' } : { oneOf: [{ type: 'integer' }, { type: 'string' }] }),
      };
    return result;
  }

  /** A reference with its own description: v3 needs `allOf` for siblings of `$ref`. */
  #ref(schema: Schema): JsonObject {
    const reference = this.model(schema.ref!);
    const { ref: _ref, ...rest } = schema;
    if (Object.keys(rest).length === 0) return reference;
    if (this.#dialect === 'v2') return { ...(rest as JsonObject), ...reference };
    return { ...(rest as JsonObject), default: {}, allOf: [reference] };
  }

  #map(properties: Record<string, Schema>): JsonObject {
    return Object.fromEntries(Object.entries(properties).map(([name, schema]) => [name, this.convert(schema)]));
  }
}

const typeMembers = (): JsonObject => ({
  apiVersion: { type: 'string', description: 'The versioned schema of this object.' },
  kind: { type: 'string', description: 'The kind of REST resource this object represents.' },
});

const query = (name: string): JsonObject => ({ name, in: 'query', schema: { type: 'string', uniqueItems: true } });
const WRITE_PARAMETERS: Json[] = ['dryRun', 'fieldManager', 'fieldValidation'].map(query);

function operation(
  resource: Resource,
  version: ServedVersion,
  action: string,
  reference: JsonObject,
  parameters: Json[] = [],
): JsonObject {
  return {
    tags: [resource.group || 'core'],
    operationId: `${action}${resource.kind}${resource.group}${version.name}`,
    parameters,
    responses: { 200: { description: 'OK', content: { 'application/json': { schema: reference } } } },
    'x-kubernetes-action': action,
    'x-kubernetes-group-version-kind': gvk(resource, version.name),
  };
}

function pathsOf(resource: Resource, version: ServedVersion, reference: JsonObject): JsonObject {
  const base = `${resource.group ? `/apis/${resource.group}` : '/api'}/${version.name}${resource.namespaced ? '/namespaces/{namespace}' : ''}/${resource.plural}`;
  const post = operation(resource, version, 'post', reference, WRITE_PARAMETERS);
  if (resource.storage === '') return { [base]: { post } };
  return {
    [base]: { get: operation(resource, version, 'list', reference), post },
    [`${base}/{name}`]: {
      get: operation(resource, version, 'get', reference),
      put: operation(resource, version, 'put', reference, WRITE_PARAMETERS),
      patch: operation(resource, version, 'patch', reference, [...WRITE_PARAMETERS, query('force')]),
      delete: operation(resource, version, 'delete', reference, [query('dryRun')]),
    },
  };
}

/** One v3 document; undefined when nothing is served there. */
export function openApiV3(
  catalog: Catalog,
  schemas: BuiltinSchemas,
  group: string,
  version: string,
): JsonObject | undefined {
  const components = new Components(schemas, 'v3');
  let paths: JsonObject = {};
  for (const resource of catalog.all()) {
    const served = resource.group === group ? resource.versions.get(version) : undefined;
    if (served) paths = { ...paths, ...pathsOf(resource, served, components.kind(resource, served)) };
  }
  if (Object.keys(paths).length === 0) return undefined;
  return {
    openapi: '3.0.0',
    info: { title: 'Kubernetes', version: 'v1.35.0' },
    paths,
    components: { schemas: components.all },
  };
}

/** The index of v3 documents; the hash in each address changes with the catalog, so clients may cache for ever. */
export function openApiIndex(catalog: Catalog): JsonObject {
  const paths: JsonObject = {};
  for (const [group, versions] of catalog.groups())
    for (const version of versions) {
      const path = group ? `apis/${apiVersionOf(group, version)}` : `api/${version}`;
      paths[path] = {
        serverRelativeURL: `/openapi/v3/${path}?hash=${catalog.generation.toString(16).toUpperCase().padStart(8, '0')}`,
      };
    }
  return { paths };
}

/** Everything in one v2 document, without operations. */
export function openApiV2(catalog: Catalog, schemas: BuiltinSchemas): JsonObject {
  const components = new Components(schemas, 'v2');
  for (const resource of catalog.all())
    for (const version of resource.versions.values()) components.kind(resource, version);
  return { swagger: '2.0', info: { title: 'Kubernetes', version: 'v1.35.0' }, paths: {}, definitions: components.all };
}
