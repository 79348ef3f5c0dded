// SPDX-License-Identifier: Apache-2.0
//
// The generated definitions obey what an API server asks of a CustomResourceDefinition (structural schemas), and what
// conformance tools look for in them.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { Ajv } from 'ajv';
import addFormats from 'ajv-formats';
import { parse } from 'yaml';
import type { Schema } from './schema.ts';

interface Version {
  readonly name: string;
  readonly served: boolean;
  readonly storage: boolean;
  readonly subresources: { readonly status?: object };
  readonly schema: { readonly openAPIV3Schema: Schema };
}

interface Definition {
  readonly metadata: { readonly name: string; readonly annotations?: Readonly<Record<string, string>> };
  readonly spec: {
    readonly group: string;
    readonly scope: string;
    readonly names: { readonly plural: string; readonly kind: string };
    readonly versions: readonly Version[];
  };
}

const folder = join(dirname(import.meta.filename), '..', '..', 'manifests', 'crds');
const DEFINITIONS = readdirSync(folder).map((file) => parse(readFileSync(join(folder, file), 'utf8')) as Definition);

/** What a node inside oneOf, anyOf, allOf or not may say. */
const LOGICAL = new Set(['oneOf', 'anyOf', 'allOf', 'not', 'required', 'properties', 'items', 'enum', 'pattern']);

const ajv = addFormats.default(new Ajv({ strict: false }));
for (const format of ['int32', 'int64', 'uint32', 'uint64', 'double']) ajv.addFormat(format, true);

function structural(schema: Schema, path: string): void {
  const free = schema['x-kubernetes-int-or-string'] === true || schema['x-kubernetes-preserve-unknown-fields'] === true;
  assert.ok(schema.type !== undefined || free, `${path} has no type`);
  assert.ok(
    schema.properties === undefined || schema.additionalProperties === undefined,
    `${path} has properties and additionalProperties`,
  );
  assert.equal(schema.type === 'array', schema.items !== undefined, `${path}: lists have items, others none`);
  for (const alternative of [...(schema.oneOf ?? []), ...(schema.anyOf ?? []), ...(schema.allOf ?? [])]) {
    if (schema['x-kubernetes-int-or-string'] !== true) logical(alternative, path);
  }
  if (schema.not !== undefined) logical(schema.not, path);
  if (schema.default !== undefined) {
    assert.ok(ajv.validate(schema, schema.default), `${path}: default ${ajv.errorsText()}`);
  }
  for (const key of schema['x-kubernetes-list-map-keys'] ?? []) {
    assert.ok(schema.items?.properties?.[key], `${path} has no key ${key}`);
    assert.ok(schema.items.required?.includes(key), `${path}: key ${key} may be absent`);
  }
  for (const name of schema.required ?? []) {
    assert.ok(schema.properties?.[name], `${path} requires ${name}, which it does not have`);
  }
  for (const [name, child] of Object.entries(schema.properties ?? {})) structural(child, `${path}.${name}`);
  if (schema.items !== undefined) structural(schema.items, `${path}[]`);
  if (schema.additionalProperties !== undefined) structural(schema.additionalProperties, `${path}{}`);
}

function logical(schema: Schema, path: string): void {
  for (const keyword of Object.keys(schema))
    assert.ok(LOGICAL.has(keyword), `${path}: ${keyword} inside an alternative`);
  for (const one of [...(schema.oneOf ?? []), ...(schema.anyOf ?? []), ...(schema.allOf ?? [])]) logical(one, path);
  for (const child of Object.values(schema.properties ?? {})) logical(child, path);
  if (schema.not !== undefined) logical(schema.not, path);
}

for (const { metadata, spec } of DEFINITIONS) {
  test(`${metadata.name} is a definition an API server takes`, () => {
    assert.equal(metadata.name, `${spec.names.plural}.${spec.group}`);
    assert.equal(spec.versions.filter((version) => version.storage).length, 1);
    for (const version of spec.versions) {
      const schema = version.schema.openAPIV3Schema;
      assert.ok(version.served && version.subresources.status);
      assert.equal(schema.type, 'object');
      structural(schema, `${version.name}:`);
    }
    if (spec.group !== 'gateway.networking.k8s.io') return;
    assert.match(metadata.annotations?.['gateway.networking.k8s.io/bundle-version'] ?? '', /^v\d/);
    assert.ok(metadata.annotations?.['gateway.networking.k8s.io/channel']);
  });
}

function nodeOf(name: string, path: string): Schema | undefined {
  const definition = DEFINITIONS.find((one) => one.metadata.name === name);
  let node = definition?.spec.versions[0]?.schema.openAPIV3Schema;
  for (const part of path.split('.')) {
    node = node?.properties?.[part.replace('[]', '')];
    if (part.endsWith('[]')) node = node?.items;
  }
  return node;
}

test('defaults, constraints and prose are where users count on them', () => {
  const route = 'httproutes.gateway.networking.k8s.io';
  assert.deepEqual(nodeOf(route, 'spec.rules[].matches[].path')?.default, { type: 'PathPrefix', value: '/' });
  assert.equal(nodeOf(route, 'spec.rules[].backendRefs[].weight')?.default, 1);
  assert.equal(nodeOf('gateways.gateway.networking.k8s.io', 'spec.listeners')?.['x-kubernetes-list-type'], 'map');
  assert.deepEqual(nodeOf('authorizationpolicies.security.istio.io', 'spec.action')?.enum, [
    'ALLOW',
    'DENY',
    'AUDIT',
    'CUSTOM',
  ]);
  assert.match(nodeOf(route, 'spec.rules[].matches')?.description ?? '', /match/i);
});

test('what controllers write into a status of Istio’s kinds is kept, named in its schema or not', () => {
  for (const { metadata, spec } of DEFINITIONS.filter(({ spec }) => spec.group.endsWith('istio.io'))) {
    for (const { name, schema } of spec.versions) {
      const status = schema.openAPIV3Schema.properties?.['status'];
      assert.ok(status?.['x-kubernetes-preserve-unknown-fields'], `${metadata.name} ${name}`);
    }
  }
});
