// SPDX-License-Identifier: Apache-2.0
import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod } from '#lib/kube/object.ts';
import { trimPod } from './informers.ts';

test('of a pod is kept what the mesh reads, and nothing of the rest', () => {
  const pod = {
    metadata: {
      name: 'a',
      namespace: 'shop',
      labels: { app: 'a' },
      annotations: {
        'ambient.istio.io/redirection': 'enabled',
        'kubectl.kubernetes.io/last-applied-configuration': '{}',
      },
      managedFields: [{}],
    },
    spec: {
      nodeName: 'n1',
      containers: [
        { name: 'main', image: 'x', ports: [{ name: 'http', containerPort: 80 }], env: [] },
        { name: 'plain', image: 'y' },
      ],
      volumes: [],
    },
    status: {
      phase: 'Running',
      podIPs: [{ ip: '10.0.0.1' }],
      conditions: [
        { type: 'Initialized', status: 'True', lastTransitionTime: 'x' },
        { type: 'Ready', status: 'True', lastTransitionTime: 'x' },
      ],
    },
  } as unknown as Pod;
  const { metadata, spec, status } = trimPod(pod);
  deepEqual(metadata.annotations, { 'ambient.istio.io/redirection': 'enabled' });
  equal('managedFields' in metadata, false);
  deepEqual(spec, {
    nodeName: 'n1',
    containers: [{ name: 'main', ports: [{ name: 'http', containerPort: 80 }] }],
    initContainers: [],
  });
  deepEqual(status, {
    phase: 'Running',
    podIPs: [{ ip: '10.0.0.1' }],
    conditions: [{ type: 'Ready', status: 'True' }],
  });
});
