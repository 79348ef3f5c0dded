// SPDX-License-Identifier: Apache-2.0
// The demo's statements, in the order in which each builds on what the one before left.
import type { Check } from './check.ts';
import { enrolled, identityLogged, sourceKept } from './enrol.ts';
import { oneDenied, strictRefuses } from './policy.ts';
import { controlPlaneRestart } from './restart.ts';
import { plainAgain, plainBefore, tunnelledAfter } from './wire.ts';

export const CHECKS: readonly Check[] = [
  plainBefore,
  enrolled,
  tunnelledAfter,
  sourceKept,
  identityLogged,
  oneDenied,
  strictRefuses,
  controlPlaneRestart,
  plainAgain,
];
