// SPDX-License-Identifier: Apache-2.0
import { deepEqual, match, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod } from '#lib/kube/object.ts';
import { fromAll } from './ask-all.ts';

const PROXIES: readonly Pod[] = ['zt-1', 'zt-2', 'zt-3'].map((name) => ({ metadata: { name } }));

test('those that answer are heard in their order, and of the others it is said why they are not', async () => {
  const warnings: string[] = [];
  const io = { err: (text: string) => void warnings.push(text) };
  const answers = await fromAll(io, PROXIES, async ({ metadata }) => {
    if (metadata.name === 'zt-2') throw new Error('it does not listen');
    return metadata.name;
  });
  deepEqual(answers, ['zt-1', 'zt-3']);
  match(warnings.join(''), /^Warning: zt-2 is left out: .*it does not listen\n$/);
});

test('when nobody answers the first one’s reason is the failure', async () => {
  const ask = async ({ metadata }: Pod): Promise<string> => {
    throw new Error(`${metadata.name} is away`);
  };
  await rejects(fromAll({ err: () => undefined }, PROXIES, ask), /zt-1 is away/);
});
