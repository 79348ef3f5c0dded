// SPDX-License-Identifier: Apache-2.0
import { equal, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod } from '#lib/kube/object.ts';
import type { Cluster } from '../cluster.ts';
import { waypointPod } from './target.ts';

const LABEL = 'gateway.networking.k8s.io/gateway-name';

function pod(name: string, phase: string, gateway?: string, metadata: object = {}): Pod {
  const labels = gateway === undefined ? {} : { [LABEL]: gateway };
  return { metadata: { namespace: 'shop', name, labels, ...metadata }, status: { phase } };
}

const PODS = [
  pod('w-1', 'Pending', 'w'),
  pod('w-2', 'Running', 'w'),
  pod('late-1', 'Pending', 'late'),
  pod('late-2', 'Running', 'late', { deletionTimestamp: '2026-01-01T00:00:00Z' }),
  pod('web-1', 'Running'),
];

const CLUSTER = {
  namespace: 'shop',
  pods: async (namespace: string, selector?: string) =>
    PODS.filter(
      ({ metadata }) => metadata.namespace === namespace && selector === `${LABEL}=${metadata.labels?.[LABEL]}`,
    ),
  pod: async (namespace: string, name: string) =>
    PODS.find(({ metadata }) => metadata.namespace === namespace && metadata.name === name),
} as unknown as Cluster;

test('a waypoint is asked at one of its running pods, by its name or the pod’s', async () => {
  for (const text of ['w', 'shop/w', 'w-2', 'shop/w-2']) equal((await waypointPod(CLUSTER, text)).metadata.name, 'w-2');
});

test('whom nobody can ask is told with what is there: no such name, no running pod, no waypoint', async () => {
  await rejects(waypointPod(CLUSTER, 'nobody'), /no waypoint with pods and no pod nobody in namespace shop/);
  await rejects(waypointPod(CLUSTER, 'other/w'), /no pod w in namespace other/);
  await rejects(waypointPod(CLUSTER, 'late'), /shop\/late has no running pod: late-1 is Pending, late-2 is ending/);
  await rejects(waypointPod(CLUSTER, 'web-1'), /pod shop\/web-1 is no waypoint/);
});
