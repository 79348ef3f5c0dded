// SPDX-License-Identifier: Apache-2.0
// What every namespace holds: the service account `default` and the cluster's root certificate.
import type { KubeObject } from '../api/json.ts';
import { objectAt, textAt } from '../api/json.ts';
import { keyOf } from './cache.ts';
import { type Controller, ROOT_CA, type World } from './world.ts';

const active = (namespace: KubeObject | undefined): namespace is KubeObject =>
  namespace !== undefined &&
  !namespace.metadata.deletionTimestamp &&
  textAt(namespace, 'status', 'phase') !== 'Terminating';

export function serviceAccountController(world: World): Controller {
  const queue = world.queue('serviceaccount', reconcile);
  world.namespaces.listen((namespace) => queue.add(keyOf(namespace)));
  world.serviceAccounts.listen((account, _old, gone) => {
    if (gone && account.metadata.name === 'default') queue.add(account.metadata.namespace ?? '');
  });

  async function reconcile(namespace: string): Promise<void> {
    if (!active(world.namespaces.get(namespace)) || world.serviceAccounts.get(`${namespace}/default`)) return;
    await world.serviceAccounts.create({
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name: 'default', namespace },
    });
  }

  return queue;
}

/** `caCert`: PEM of the authority that signed the API server's certificate. */
export function rootCaController(world: World, caCert: string): Controller {
  const queue = world.queue('root-ca', reconcile);
  world.namespaces.listen((namespace) => queue.add(keyOf(namespace)));
  world.rootCas.listen((map) => queue.add(map.metadata.namespace ?? ''));

  async function reconcile(namespace: string): Promise<void> {
    if (!active(world.namespaces.get(namespace))) return;
    const data = { 'ca.crt': caCert };
    const old = world.rootCas.get(`${namespace}/${ROOT_CA}`);
    if (!old)
      await world.rootCas.create({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: ROOT_CA, namespace }, data });
    else if (objectAt(old, 'data')['ca.crt'] !== caCert) await world.rootCas.update({ ...old, data });
  }

  return queue;
}
