// SPDX-License-Identifier: Apache-2.0
// Warns who installs a CRD of the CEL rules in it that this server cannot read and so does not enforce.
import { isObject, listAt, objectAt } from '../json.ts';
import { CRDS } from '../kinds/crd-controller.ts';
import { unreadableWarning } from '../schema/rules.ts';
import type { Schema } from '../schema/schema.ts';
import type { AdmissionPlugin, AdmissionRequest } from './chain.ts';

export const crdRules: AdmissionPlugin = {
  validate({ target, operation, object, warnings }: AdmissionRequest): void {
    if (target.resource.storage !== CRDS || operation === 'DELETE' || target.subresource !== '') return;
    for (const version of listAt(object, 'spec', 'versions')) {
      const schema = objectAt(version, 'schema')['openAPIV3Schema'];
      if (isObject(schema)) warnings.push(...unreadableWarning(schema as Schema, version));
    }
  },
};
