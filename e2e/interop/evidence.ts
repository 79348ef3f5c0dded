// SPDX-License-Identifier: Apache-2.0
// What is kept of a cluster on which a check failed, before it goes: the logs of the mesh's parts and the pods' states.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT, tryRun } from '../harness/run.ts';

/** Saves what can still be had of the playground `name`, also of one that did not come up whole. */
export async function saveEvidence(name: string, folder: string): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const kubectl = async (...words: string[]): Promise<string> => {
    const { stdout, stderr } = await tryRun(join(ROOT, 'bin/ambit'), [
      'playground',
      'kubectl',
      '--name',
      name,
      ...words,
    ]);
    return stdout + stderr;
  };
  const save = async (file: string, ...words: string[]): Promise<void> =>
    writeFileSync(join(folder, file), await kubectl(...words));
  await save('pods.yaml', 'get', 'pods', '-A', '-o', 'yaml');
  const mesh = ['-n', 'istio-system'];
  const pods = (await kubectl('get', 'pods', ...mesh, '-o', 'name'))
    .split('\n')
    .filter((line) => line.startsWith('pod/'));
  for (const pod of pods) {
    await save(`${pod.slice(4)}.log`, 'logs', ...mesh, pod, '--tail=-1');
    await save(`${pod.slice(4)}.previous.log`, 'logs', ...mesh, pod, '--tail=-1', '--previous');
  }
}
