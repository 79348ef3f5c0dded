// SPDX-License-Identifier: Apache-2.0
//
// What a schema cannot say of a ProxyConfig.

import type { ProxyConfigObject } from '../gateway/proxy-config.ts';
import { type ObjectProblem, ProblemList } from './problem.ts';
import { checkSelector } from './target-refs.ts';

const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

export function checkProxyConfig(object: ProxyConfigObject): ObjectProblem[] {
  const list = new ProblemList(object);
  const { concurrency, environmentVariables = {}, image, selector } = object.spec ?? {};
  checkSelector(list, selector);
  if (concurrency !== undefined && concurrency < 0) {
    list.error('InvalidValue', 'spec.concurrency', `${concurrency} is below 0`, 'write 0 for one for each processor');
  }
  for (const name of Object.keys(environmentVariables)) {
    if (!NAME.test(name)) {
      list.error('InvalidValue', `spec.environmentVariables[${name}]`, 'can be no variable', 'use letters, digits, _');
    }
  }
  if (image?.imageType !== undefined && image.imageType !== '') {
    list.warning('UnsupportedValue', 'spec.image.imageType', 'there is one image of a waypoint', 'remove it');
  }
  return list.problems;
}
