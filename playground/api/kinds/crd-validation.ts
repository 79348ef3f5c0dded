// SPDX-License-Identifier: Apache-2.0
// What the API refuses in a CustomResourceDefinition.
import type { Problem } from '#lib/kit/result.ts';
import { isObject, type KubeObject, listAt, objectAt, textAt } from '../json.ts';

/** What makes a CRD unusable: its name, its versions, its schema. */
export function validateCrd(object: KubeObject): Problem[] {
  const spec = objectAt(object, 'spec');
  const expected = `${textAt(spec, 'names', 'plural')}.${textAt(spec, 'group')}`;
  const problems: Problem[] = [];
  if (object.metadata.name !== expected)
    problems.push({
      field: 'metadata.name',
      message: `Invalid value: "${object.metadata.name}": must be spec.names.plural+"."+spec.group`,
    });
  const versions = listAt(spec, 'versions');
  if (versions.filter((version) => objectAt(version)['storage'] === true).length !== 1)
    problems.push({
      field: 'spec.versions',
      message: 'Invalid value: must have exactly one version marked as storage version',
    });
  versions.forEach((version, index) => {
    const schema = objectAt(version, 'schema')['openAPIV3Schema'];
    if (!isObject(schema))
      problems.push({
        field: `spec.versions[${index}].schema.openAPIV3Schema`,
        message: 'Required value: schemas are required',
      });
    else if (schema['type'] !== 'object')
      problems.push({
        field: `spec.versions[${index}].schema.openAPIV3Schema.type`,
        message: `Invalid value: "${String(schema['type'] ?? '')}": must be object`,
      });
  });
  return problems;
}
