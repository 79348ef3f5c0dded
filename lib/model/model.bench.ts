// SPDX-License-Identifier: Apache-2.0
// What a change costs: node --expose-gc lib/model/model.bench.ts [PODS]. One pod turns unready in a mesh of PODS pods
// (default 10,000; a service and ten pods each, namespaces of a hundred), then other single changes. The figures should hardly
// move with the size of the mesh.
import { performance } from 'node:perf_hooks';
import { kubeService, namespace, node, pod, testModel } from '#lib/testkit/model.ts';
import type { KubeObject } from './object/object.ts';

const PODS = Number(process.argv[2] ?? 10_000);
const ROUNDS = 500;

const app = (i: number): string => `app-${Math.floor(i / 10)}`;
const space = (i: number): string => `ns-${Math.floor(i / 100)}`;

function podAt(i: number, ready: boolean): KubeObject {
  return pod(`pod-${i}`, {
    namespace: space(i),
    ips: [`10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`],
    labels: { app: app(i), 'pod-template-hash': 'abc' },
    node: `node-${i % 100}`,
    account: app(i),
    ready,
    ports: { http: 8080 },
  });
}

function serviceAt(i: number, port: number): KubeObject {
  const at = i * 10;
  return kubeService(app(at), {
    namespace: space(at),
    selector: { app: app(at) },
    ip: `10.200.${i >> 8}.${i & 255}`,
    ports: [{ name: 'http', port, targetPort: 'http' }],
  });
}

function timed(name: string, rounds: number, round: (i: number) => void): void {
  const times: number[] = [];
  for (let i = 0; i < rounds; i++) {
    const from = performance.now();
    round(i);
    times.push(performance.now() - from);
  }
  times.sort((a, b) => a - b);
  const at = (share: number): string => (times[Math.min(rounds - 1, Math.floor(share * rounds))] ?? 0).toFixed(3);
  process.stdout.write(`${name.padEnd(40)} p50 ${at(0.5)} ms, p99 ${at(0.99)} ms\n`);
}

const { apply, model } = testModel();
const all: KubeObject[] = [namespace('istio-system')];
for (let i = 0; i < 100; i++) all.push(node(`node-${i}`, { 'topology.kubernetes.io/zone': `z${i % 3}` }));
for (let i = 0; i < PODS; i += 100) all.push(namespace(space(i)));
for (let i = 0; i < PODS / 10; i++) all.push(serviceAt(i, 80));
for (let i = 0; i < PODS; i++) all.push(podAt(i, true));
timed(`${PODS} pods from nothing`, 1, () => apply(...all));
globalThis.gc?.();
process.stdout.write(`${'heap'.padEnd(40)} ${Math.round(process.memoryUsage().heapUsed / 1e6)} MB\n`);
timed('a pod turns unready, or ready again', ROUNDS, (i) => apply(podAt((i * 7919) % PODS, i % 2 === 1)));
timed('a service of ten pods changes a port', ROUNDS, (i) => apply(serviceAt(i % (PODS / 10), 80 + (i % 3))));
timed('a pod of an unknown node comes', ROUNDS, (i) => {
  apply(pod(`new-${i}`, { namespace: space(i % PODS), ips: [`11.0.${i >> 8}.${i & 255}`], node: 'elsewhere' }));
});
process.stdout.write(`${'resources'.padEnd(40)} ${model.addressResources.size}\n`);
