// SPDX-License-Identifier: Apache-2.0
//
// `npm run gen`: everything in the tree that a program wrote, written again. `make check` runs it and wants no diff.

import { dirname, join } from 'node:path';
import { generateCrds } from './crds.ts';
import { generateErrors } from './errors.ts';
import { generateProto } from './proto.ts';

const root = join(dirname(import.meta.filename), '..', '..');

generateProto(root);
generateErrors(root);
generateCrds(root);
