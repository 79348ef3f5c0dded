// SPDX-License-Identifier: Apache-2.0
//
// fast-check as the tests use it. The seed stands still, so that a test's result depends on the tree alone; looking
// for new counterexamples is a run of its own: PROPERTY_SEED=random npm test.

import fc from 'fast-check';

const given = process.env['PROPERTY_SEED'] ?? '1';
if (given !== 'random') fc.configureGlobal({ seed: Number.parseInt(given, 10) });

export default fc;
