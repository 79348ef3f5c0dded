// SPDX-License-Identifier: Apache-2.0
import { equal, match, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import type { KubeObject, Pod } from '#lib/kube/object.ts';
import { authorizationPolicy, kubeService, namespace, pod } from '#lib/testkit/model.ts';
import type { Cluster } from '../cluster.ts';
import { explainAt } from '../command/explain.ts';
import { explanationText } from '../command/full-explanation.ts';

const NOON = Date.UTC(2026, 0, 1, 12);
const MINUTE = 60_000;

const PODS = [
  pod('cart-1', { ips: ['10.1.0.1'], labels: { app: 'cart' }, account: 'cart', node: 'n1' }),
  pod('web-1', { ips: ['10.1.0.2'], labels: { app: 'web' }, node: 'n2', ports: { http: 8080 } }),
];
const SERVICE = kubeService('web', {
  selector: { app: 'web' },
  ip: '10.96.0.1',
  ports: [{ port: 80, targetPort: 8080 }],
});
const NO_CART = authorizationPolicy('no-cart', {
  action: 'DENY',
  rules: [{ from: [{ source: { principals: ['cluster.local/ns/shop/sa/cart'] } }] }],
});
const istiod: Pod = {
  metadata: { name: 'istiod-1', namespace: 'istio-system' },
  status: { phase: 'Running' },
};

/** The policy was there from noon on, for ten minutes. */
function configuredAt(at: number): unknown[] {
  if (at < NOON - MINUTE) return [];
  const there = at >= NOON && at < NOON + 10 * MINUTE;
  return [namespace('shop'), namespace('istio-system'), SERVICE, ...(there ? [NO_CART] : [])];
}

const cluster: Cluster = {
  namespace: 'shop',
  istioNamespace: 'istio-system',
  pods: async () => [istiod],
  pod: async (space, name) =>
    PODS.find(({ metadata }) => metadata.namespace === space && metadata.name === name) as Pod | undefined,
  list: async ({ kind }) =>
    (kind === 'Pod' ? PODS.map(({ kind: _, apiVersion: __, ...rest }) => rest) : []) as KubeObject[],
  request: async (_pod, _port, { path }) => {
    const url = new URL(path, 'http://istiod');
    const body = url.pathname === '/debug/mesh' ? {} : configuredAt(Number(url.searchParams.get('at')));
    return { status: 200, body: JSON.stringify(body) };
  },
  close: async () => undefined,
};

test('a connection is explained with the configuration of the time that is asked about', async () => {
  const then = await explainAt(cluster, 'shop/cart-1', 'web:80', NOON + MINUTE);
  equal(then.allowed, false);
  equal(then.inbound?.verdict.policy, 'shop/no-cart');
  match(
    explanationText(then, false),
    /DENIED {2}shop\/cart-1 -> web:80\n\nAs configured at 2026-01-01T12:01:00.000Z, with/,
  );
  for (const at of [NOON - 1, NOON + 10 * MINUTE]) {
    equal((await explainAt(cluster, 'shop/cart-1', 'web.shop:80', at)).allowed, true);
  }
});

test('a time before the log, and a name that is no service, are told', async () => {
  await rejects(explainAt(cluster, 'shop/cart-1', 'web:80', NOON - 2 * MINUTE), /says nothing of 2026-01-01T11:58/);
  await rejects(explainAt(cluster, 'shop/cart-1', 'nowhere:80', NOON), /nowhere is no service of the mesh/);
});
