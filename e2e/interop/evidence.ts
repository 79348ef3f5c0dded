// SPDX-License-Identifier: Apache-2.0
// What is kept of a cluster on which a check failed, before it goes: the logs of the mesh's parts and the pods' states.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Cluster } from '../harness/cluster.ts';

export async function saveEvidence(cluster: Cluster, folder: string): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const save = async (name: string, ...words: string[]): Promise<void> => {
    const { stdout, stderr } = await cluster.tryKubectl(...words);
    writeFileSync(join(folder, name), stdout + stderr);
  };
  await save('pods.yaml', 'get', 'pods', '-A', '-o', 'yaml');
  for (const { name } of await cluster.pods('istio-system')) {
    await save(`${name}.log`, 'logs', '-n', 'istio-system', name, '--tail=-1');
  }
}
