// SPDX-License-Identifier: Apache-2.0
// CustomResourceDefinition → resource: names, versions, schema, printer columns, subresources. Versions differ in
// apiVersion only (conversion None). Source: apiextensions.k8s.io/v1.
import { isObject, type Json, type JsonObject, type KubeObject, listAt, objectAt, textAt } from '../json.ts';
import type { Schema } from '../schema/schema.ts';
import { AGE, age, type Column, column, NAME } from '../table/column.ts';
import { readJsonPath } from '../table/json-path.ts';
import type { Resource, ScalePaths, ServedVersion } from './resource.ts';

const OPEN: Schema = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
const never = (): Schema => OPEN;

/** The resource a CRD describes; undefined when no version is served. */
export function customResource(crd: KubeObject): Resource | undefined {
  const spec = objectAt(crd, 'spec');
  const names = objectAt(spec, 'names');
  const group = textAt(spec, 'group') ?? '';
  const versions = new Map<string, ServedVersion>();
  let storageVersion = '';
  for (const version of listAt(spec, 'versions').filter(isObject)) {
    const name = String(version['name'] ?? '');
    if (version['storage'] === true) storageVersion = name;
    if (version['served'] === true) versions.set(name, servedVersion(name, version));
  }
  const plural = textAt(names, 'plural') ?? '';
  const kind = textAt(names, 'kind') ?? '';
  if (versions.size === 0 || plural === '' || kind === '') return undefined;
  return {
    group,
    plural,
    singular: textAt(names, 'singular') ?? kind.toLowerCase(),
    kind,
    listKind: textAt(names, 'listKind') ?? `${kind}List`,
    short: listAt(names, 'shortNames').map(String),
    categories: listAt(names, 'categories').map(String),
    namespaced: spec['scope'] === 'Namespaced',
    storage: `${plural}.${group}`,
    storageVersion,
    versions,
    custom: true,
    subresources: {},
    strategy: {},
  };
}

function servedVersion(name: string, version: JsonObject): ServedVersion {
  const subresources = objectAt(version, 'subresources');
  const scale = subresources['scale'];
  const root = objectAt(version, 'schema')['openAPIV3Schema'];
  const deprecated = version['deprecated'] === true;
  return {
    name,
    schema: isObject(root) ? (root as Schema) : OPEN,
    resolve: never,
    status: isObject(subresources['status']),
    ...(isObject(scale) ? { scale: scale as unknown as ScalePaths } : {}),
    columns: printerColumns(listAt(version, 'additionalPrinterColumns').filter(isObject)),
    fields: listAt(version, 'selectableFields').flatMap((field) => textAt(field, 'jsonPath')?.replace(/^\./, '') ?? []),
    ...(deprecated ? { deprecation: textAt(version, 'deprecationWarning') ?? `${name} is deprecated` } : {}),
  };
}

function printerColumns(given: JsonObject[]): Column[] {
  if (given.length === 0) return [NAME, AGE];
  const columns = given.map((entry): Column => {
    const path = String(entry['jsonPath'] ?? '');
    const type = String(entry['type'] ?? 'string');
    return {
      ...column(
        String(entry['name'] ?? ''),
        (object, now) => cell(readJsonPath(object, path), type, now),
        Number(entry['priority'] ?? 0),
        type,
      ),
      ...(entry['description'] ? { description: String(entry['description']) } : {}),
      ...(entry['format'] ? { format: String(entry['format']) } : {}),
    };
  });
  return [NAME, ...columns];
}

function cell(values: Json[], type: string, now: number): Json {
  const value = values[0];
  if (value === undefined || value === null) return type === 'string' ? '' : null;
  if (type === 'date') return age(String(value), now);
  if (type === 'string')
    return values.map((item) => (typeof item === 'object' ? JSON.stringify(item) : String(item))).join(',');
  return value;
}
