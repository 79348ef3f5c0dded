// SPDX-License-Identifier: Apache-2.0
// Whether a cluster's parts are run by whom they should be, read from the nodes' processes: a matrix says nothing when
// a replaced program was not replaced.
import type { Cluster } from '../harness/cluster.ts';
import type { Maker, Parts } from '../harness/parts.ts';

/** What the command line of our program ends a word with. */
const MAIN = { istiod: '/istiod/main.ts', cni: '/cni/main.ts', ztunnel: '/ztunnel/main.ts' } as const;

/** Throws which part is run by whom, when that is not as `parts` says. */
export async function verifyParts(cluster: Cluster, parts: Parts): Promise<void> {
  const wrong: string[] = [];
  let controlPlane: Maker = 'peer';
  for (const [node, ztunnel] of Object.entries(parts.ztunnel)) {
    const words = await commandLines(cluster, node);
    const makerOf = (part: keyof typeof MAIN): Maker =>
      words.some((word) => word.endsWith(MAIN[part])) ? 'ambit' : 'peer';
    if (makerOf('ztunnel') !== ztunnel) wrong.push(`ztunnel of ${node} is ${makerOf('ztunnel')}’s`);
    if (makerOf('cni') !== parts.cni) wrong.push(`CNI agent of ${node} is ${makerOf('cni')}’s`);
    if (makerOf('istiod') === 'ambit') controlPlane = 'ambit';
  }
  if (controlPlane !== parts.istiod) wrong.push(`istiod is ${controlPlane}’s`);
  if (wrong.length > 0) throw new Error(`not what was asked for: ${wrong.join(', ')}`);
}

async function commandLines(cluster: Cluster, node: string): Promise<string[]> {
  const text = await cluster.playground('node', node, '--', 'sh', '-c', 'cat /proc/[0-9]*/cmdline 2>/dev/null; true');
  return text.split('\0');
}
