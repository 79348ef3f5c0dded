// SPDX-License-Identifier: Apache-2.0
// Makes playground/api/wire/field-numbers.ts: the protobuf field numbers of core kinds, which the client's models do
// not carry. Run by hand when Kubernetes adds fields, since the numbers come from Go modules that a build does not
// need: `node tools/gen/kubernetes-proto.ts DIR_OF_k8s.io/api DIR_OF_k8s.io/apimachinery`.
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { builtinResources } from '../../playground/api/kinds/table.ts';
import { BuiltinSchemas } from '../../playground/api/schema/builtin.ts';
import type { Schema } from '../../playground/api/schema/schema.ts';

interface Field {
  readonly name: string;
  readonly type: string;
  readonly number: number;
  /** A Go pointer: its zero value means something. */
  readonly pointer: boolean;
}
type Messages = Map<string, readonly Field[]>;

const TARGET = join(import.meta.dirname, '../../playground/api/wire/field-numbers.ts');
/** Kinds that requests carry beside those of the table. */
const EXTRA: readonly (readonly [model: string, message: string])[] = [
  ['V1DeleteOptions', 'k8s.io.apimachinery.pkg.apis.meta.v1.DeleteOptions'],
  ['V1Eviction', 'k8s.io.api.policy.v1.Eviction'],
  ['V1Scale', 'k8s.io.api.autoscaling.v1.Scale'],
  ['AuthenticationV1TokenRequest', 'k8s.io.api.authentication.v1.TokenRequest'],
];
/** Groups whose Go package is not named like their first part. */
const PACKAGES: Readonly<Record<string, string>> = { '': 'core' };

/** Names of pointer members by struct, from the Go sources beside a .proto file. */
function readPointers(text: string): Map<string, Set<string>> {
  const structs = new Map<string, Set<string>>();
  for (const [, name, body] of text.matchAll(/^type (\w+) struct \{\n([\s\S]*?)^\}/gm)) {
    const pointers = [...body!.matchAll(/^\t\w+\s+\*[\w.]+\s+`(?:[^`]*?)protobuf:"[^"]*name=(\w+)/gm)].map(
      (match) => match[1]!,
    );
    structs.set(name!, new Set(pointers));
  }
  return structs;
}

function readMessages(text: string, structs: Map<string, Set<string>>, into: Messages): void {
  const space = /^package ([\w.]+);/m.exec(text)?.[1] ?? '';
  for (const [, name, body] of text.matchAll(/^message (\w+) \{\n([\s\S]*?)^\}/gm)) {
    const fields: Field[] = [];
    for (const match of body!.matchAll(/^ {2}(?:optional |repeated |map<\w+, )?\.?([\w.]+)>? (\w+) = (\d+);/gm)) {
      const type = match[1]!;
      fields.push({
        type: type.includes('.') || !/^[A-Z]/.test(type) ? type : `${space}.${type}`,
        name: match[2]!,
        number: Number(match[3]),
        pointer: structs.get(name!)?.has(match[2]!) === true,
      });
    }
    into.set(`${space}.${name!}`, fields);
  }
}

const messages: Messages = new Map();
for (const dir of process.argv.slice(2))
  for (const file of globSync('**/generated.proto', { cwd: dir })) {
    const go = globSync(join(dirname(file), '*types*.go'), { cwd: dir }).map((source) =>
      readFileSync(join(dir, source), 'utf8'),
    );
    readMessages(readFileSync(join(dir, file), 'utf8'), readPointers(go.join('\n')), messages);
  }
const schemas = new BuiltinSchemas();
const lines = new Map<string, string>();

/** The model a property refers to, itself, as list item or as map value. */
function refOf(schema: Schema | undefined): string | undefined {
  if (!schema) return undefined;
  return (
    schema.ref ??
    refOf(schema.items) ??
    (typeof schema.additionalProperties === 'object' ? refOf(schema.additionalProperties) : undefined)
  );
}

/** Adds a message's numbers under `key`; fields that the model lacks are Go's inlined structs, named after a `*`. */
function walk(key: string, model: Schema, message: string): void {
  if (lines.has(key)) return;
  lines.set(key, '');
  const fields = messages.get(message) ?? [];
  const parts = fields.flatMap((field): string[] => {
    const property = model.properties?.[field.name];
    if (property) {
      const ref = refOf(property);
      if (ref && messages.has(field.type)) walk(ref, schemas.resolve(ref), field.type);
      return [`${field.name}:${field.number}${field.pointer ? '!' : ''}`];
    }
    if (!messages.has(field.type)) return [];
    const inlined = `${key}.${field.name}`;
    walk(inlined, model, field.type);
    return lines.get(inlined) === '' ? [] : [`*${field.name}:${field.number}`];
  });
  lines.set(key, parts.join(' '));
}

for (const resource of builtinResources(schemas)) {
  if (resource.group === 'apiextensions.k8s.io') continue;
  const space = PACKAGES[resource.group] ?? resource.group.split('.')[0]!;
  for (const version of resource.versions.values())
    walk(version.model!, version.schema, `k8s.io.api.${space}.${version.name}.${resource.kind}`);
}
for (const [model, message] of EXTRA) walk(model, schemas.resolve(model), message);

const table = [...lines]
  .filter(([, text]) => text !== '')
  .map(([key, text]) => `${key} ${text}`)
  .sort();
writeFileSync(
  TARGET,
  `// SPDX-License-Identifier: Apache-2.0
// Protobuf field numbers of core kinds by model, one line each; made by tools/gen/kubernetes-proto.ts. A field after
// \`*\` is a struct whose members JSON shows in place of it; its numbers stand on a line MODEL.FIELD;
// \`!\` marks fields whose zero value means something, while others are missing when they are zero or empty.

export const FIELD_NUMBERS = \`
${table.join('\n')}
\`;
`,
);
process.stdout.write(`${table.length} messages\n`);
