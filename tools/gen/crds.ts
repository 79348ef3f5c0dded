// SPDX-License-Identifier: Apache-2.0
//
// manifests/crds/*.yaml, one CustomResourceDefinition a file, and lib/model/schema/gen.ts, the same schemas without
// prose for `ambit validate` and the admission webhook. Both come from the packages' schemas; nothing is copied in.

import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { addDefaults } from './defaults.ts';
import { describeSchema } from './docs.ts';
import { GATEWAY_BUNDLE, KINDS, type KindEntry } from './kinds.ts';
import { recoverSchema } from './recover.ts';
import type { Schema } from './schema.ts';

/** Where a package keeps the validator and the types of one version of a kind. */
export function sourcesOf(root: string, entry: KindEntry, version: string): { schema: string; types: string } {
  const base = join(root, 'node_modules', '@kubernetes-models', entry.package);
  const from = entry.sameAs?.[version] ?? version;
  const file =
    entry.package === 'gateway-api'
      ? `IoK8sSigsGatewayApi${entry.group.includes('.x-k8s.') ? 'Apisx' : 'Apis'}${capital(from)}${entry.kind}`
      : `${entry.group.split('.').map(capital).join('')}${capital(from)}${entry.kind}`;
  return {
    schema: join(base, '_schemas', `${file}.js`),
    types: join(base, entry.group, from, `${entry.kind}.d.ts`),
  };
}

function capital(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}

const TYPE_FIELDS: Record<string, Schema> = {
  apiVersion: { description: 'Version of the schema this object is written in.', type: 'string' },
  kind: { description: 'Kind of this object, in camel case.', type: 'string' },
  metadata: { type: 'object' },
};

/** The schema of one version as the API server wants it: structural, with docs and defaults. */
export function kindSchema(root: string, entry: KindEntry, version: string): Schema {
  if (entry.open === true) {
    const anything: Schema = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
    return { type: 'object', properties: { ...TYPE_FIELDS, spec: anything, status: { ...anything } } };
  }
  const { schema: path, types } = sourcesOf(root, entry, version);
  const described = describeSchema(recoverSchema(path), types, `I${entry.kind}`);
  const own = Object.fromEntries(Object.entries(described.properties ?? {}).filter(([name]) => !(name in TYPE_FIELDS)));
  const required = (described.required ?? []).filter((name) => !(name in TYPE_FIELDS));
  const schema: Schema = {
    ...(described.description !== undefined && { description: described.description }),
    type: 'object',
    ...(required.length > 0 && { required }),
    properties: structural({ type: 'object', properties: { ...TYPE_FIELDS, ...own } }).properties ?? {},
  };
  schema.properties!['metadata'] = { type: 'object' };
  schema.properties!['status'] ??= { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
  // Controllers write more into these than the published types name, addresses of ServiceEntries above all.
  if (entry.package === 'istio') schema.properties!['status']['x-kubernetes-preserve-unknown-fields'] = true;
  addDefaults(entry.kind, entry.group, schema);
  return schema;
}

/** Marks what would otherwise be pruned, and writes int-or-string as the API server knows it. */
function structural(schema: Schema): Schema {
  const out: Schema = { ...schema };
  if (isIntOrString(schema)) {
    delete out.type;
    out['x-kubernetes-int-or-string'] = true;
    return out;
  }
  if (schema.properties !== undefined) {
    out.properties = Object.fromEntries(Object.entries(schema.properties).map(([k, v]) => [k, structural(v)]));
  }
  if (schema.items !== undefined) out.items = structural(schema.items);
  if (schema.additionalProperties !== undefined) out.additionalProperties = structural(schema.additionalProperties);
  if (out.type === undefined && out.properties !== undefined) out.type = 'object';
  const open = out.type === undefined || out.type === 'object';
  if (open && out.properties === undefined && out.additionalProperties === undefined) {
    out['x-kubernetes-preserve-unknown-fields'] = true;
  }
  return out;
}

function isIntOrString({ anyOf }: Schema): boolean {
  const types = anyOf?.map((one) => one.type).sort();
  return types?.length === 2 && types[0] === 'integer' && types[1] === 'string';
}

function definition(root: string, entry: KindEntry): object {
  const category = entry.package === 'istio' ? ['istio-io', `${entry.group.split('.')[0]}-istio-io`] : ['gateway-api'];
  const annotations =
    entry.package === 'istio'
      ? undefined
      : {
          'api-approved.kubernetes.io': 'https://github.com/kubernetes-sigs/gateway-api',
          'gateway.networking.k8s.io/bundle-version': GATEWAY_BUNDLE.version,
          'gateway.networking.k8s.io/channel': GATEWAY_BUNDLE.channel,
        };
  const storage = entry.storage ?? entry.versions[0];
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${entry.plural}.${entry.group}`, ...(annotations && { annotations }) },
    spec: {
      group: entry.group,
      names: {
        kind: entry.kind,
        listKind: `${entry.kind}List`,
        plural: entry.plural,
        singular: entry.kind.toLowerCase(),
        ...(entry.shortNames.length > 0 && { shortNames: entry.shortNames }),
        categories: category,
      },
      scope: entry.scope,
      versions: entry.versions.map((version) => ({
        name: version,
        served: true,
        storage: version === storage,
        ...(entry.columns.length > 0 && {
          additionalPrinterColumns: entry.columns.map((column) => ({ type: 'string', ...column })),
        }),
        subresources: { status: {} },
        schema: { openAPIV3Schema: kindSchema(root, entry, version) },
      })),
    },
  };
}

function withoutProse(schema: Schema): Schema {
  return JSON.parse(
    JSON.stringify(schema, (key, value: unknown) =>
      key === 'description' && typeof value === 'string' ? undefined : value,
    ),
  ) as Schema;
}

const HEAD = `# SPDX-License-Identifier: Apache-2.0
# Generated by tools/gen from the schemas of @kubernetes-models; npm run gen writes it again.
`;

const SCHEMAS_HEAD = `// SPDX-License-Identifier: Apache-2.0
//
// Generated by tools/gen from the schemas of @kubernetes-models; npm run gen writes it again.

/** JSON of an object: \`<group>/<version>/<kind>\` to the schema of that kind. */
`;

/** Writes every definition and the schemas; files of kinds that are gone are removed. */
export function generateCrds(root: string): void {
  const folder = join(root, 'manifests', 'crds');
  mkdirSync(folder, { recursive: true });
  for (const file of readdirSync(folder)) if (file.endsWith('.yaml')) rmSync(join(folder, file));
  const schemas: Record<string, Schema> = {};
  for (const entry of KINDS) {
    const text = stringify(definition(root, entry), { lineWidth: 120, aliasDuplicateObjects: false });
    writeFileSync(join(folder, `${entry.plural}.${entry.group}.yaml`), HEAD + text);
    for (const version of entry.versions) {
      schemas[`${entry.group}/${version}/${entry.kind}`] = withoutProse(kindSchema(root, entry, version));
    }
  }
  const target = join(root, 'lib', 'model', 'schema');
  mkdirSync(target, { recursive: true });
  const literal = JSON.stringify(JSON.stringify(schemas));
  writeFileSync(join(target, 'gen.ts'), `${SCHEMAS_HEAD}export const SCHEMAS_JSON: string =\n  ${literal};\n`);
}
