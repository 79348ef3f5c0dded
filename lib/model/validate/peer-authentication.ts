// SPDX-License-Identifier: Apache-2.0
//
// What a schema cannot say of a PeerAuthentication.

import { parsePort } from '../policy/match-builder.ts';
import type { PeerAuthentication } from '../policy/peer-authentication.ts';
import { type ObjectProblem, ProblemList } from './problem.ts';
import { checkSelector } from './target-refs.ts';

export function checkPeerAuthentication(object: PeerAuthentication): ObjectProblem[] {
  const list = new ProblemList(object);
  const { spec } = object;
  checkSelector(list, spec?.selector);
  const ports = spec?.portLevelMtls;
  if (ports === undefined) return list.problems;
  if (Object.keys(ports).length === 0) {
    list.error('MissingField', 'spec.portLevelMtls', 'names no port', 'add a port or remove it');
  }
  if (Object.keys(spec?.selector?.matchLabels ?? {}).length === 0) {
    list.error(
      'MissingField',
      'spec.selector',
      'is required with portLevelMtls, since ports are those of workloads',
      'add spec.selector.matchLabels',
    );
  }
  for (const port of Object.keys(ports)) {
    if (parsePort(port) === undefined) {
      list.error(
        'InvalidValue',
        `spec.portLevelMtls[${port}]`,
        `"${port}" is no port`,
        'write a number from 1 to 65535',
      );
    }
  }
  return list.problems;
}
