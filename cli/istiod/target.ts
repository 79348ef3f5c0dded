// SPDX-License-Identifier: Apache-2.0
// The control plane's replicas.

import { AmbitError } from '#lib/kit/error.ts';
import type { Pod } from '#lib/kube/object.ts';
import type { Cluster } from '../cluster.ts';

const SELECTOR = 'app=istiod';

export async function istiods(cluster: Cluster): Promise<readonly Pod[]> {
  const found = (await cluster.pods(cluster.istioNamespace, SELECTOR)).filter(
    ({ status }) => status?.phase === 'Running',
  );
  if (found.length > 0) return found;
  throw new AmbitError('ISTIOD_NOT_FOUND', `no running pod with ${SELECTOR} in ${cluster.istioNamespace}`, {
    advice: 'check that the mesh is installed, or name its namespace with -i',
  });
}

const HTTP_PORT = 8080;

/** A debug page of the control plane, read as JSON; throws ISTIOD with what it answered instead. */
export async function askIstiod(cluster: Cluster, path: string): Promise<unknown> {
  const [pod] = await istiods(cluster);
  const { body, status } = await cluster.request(pod!, HTTP_PORT, { path });
  if (status !== 200) {
    throw new AmbitError('ISTIOD', `${pod!.metadata.name} answered ${status} to ${path}: ${body.slice(0, 200)}`);
  }
  return JSON.parse(body);
}
