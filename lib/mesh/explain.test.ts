// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatProblem, type Result } from '#lib/kit/result.ts';
import { mesh } from '#lib/testkit/mesh.ts';
import { type AnswerContext, answerExplain, type Explanation } from './explain.ts';
import { formatProof } from './proof.ts';

const CONTEXT: AnswerContext = {
  options: { network: '', clusterRanges: [], unknownCluster: 'pass' },
  clusterId: 'Kubernetes',
  domain: 'cluster.local',
  random: () => 0,
};
const WEB = 'shop/web.shop.svc.cluster.local';

function shop(policies: Parameters<typeof mesh>[0]['policies'] = []) {
  return mesh({
    workloads: [
      { name: 'cart-1', namespace: 'shop', serviceAccount: 'cart', ips: ['10.1.1.2', 'fd00::2'], node: 'n1' },
      {
        name: 'web-1',
        namespace: 'shop',
        serviceAccount: 'web',
        ips: ['10.1.2.2', 'fd00::3'],
        node: 'n2',
        serves: { [WEB]: { '80': 8080 } },
      },
      { name: 'out-1', namespace: 'outside', ips: ['10.1.1.9'], node: 'n1', protocol: 'none' },
    ],
    services: [{ name: 'web', namespace: 'shop', vips: ['10.96.0.1'], ports: { '80': 8080 } }],
    policies,
  });
}

function ask(view: ReturnType<typeof shop>, query: Record<string, string>): Result<Explanation> {
  return answerExplain(view, (name) => query[name] ?? null, CONTEXT);
}

function value(result: Result<Explanation>): Explanation {
  if (!result.ok) throw new Error(result.problems.map(formatProblem).join('; '));
  return result.value;
}

function problem(result: Result<Explanation>): string {
  assert.equal(result.ok, false);
  return result.ok ? '' : result.problems.map(formatProblem).join('; ');
}

test('a service is found by every name a resolver would find it by, and leads to the node of its endpoint', () => {
  for (const to of ['web:80', 'web.shop:80', 'web.shop.svc:80', 'web.shop.svc.cluster.local.:80', '10.96.0.1:80']) {
    const { next, verdict } = value(ask(shop(), { from: 'shop/cart-1', to }));
    assert.match(verdict, /HBONE to shop\/web-1/);
    assert.deepEqual(next, {
      workload: 'shop/web-1',
      node: 'n2',
      address: '10.1.2.2:8080',
      identity: 'spiffe://cluster.local/ns/shop/sa/cart',
      sourceIp: '10.1.1.2',
    });
  }
});

test('the other half names policy, rule and clause of a denial', () => {
  const view = shop([
    {
      name: 'no-cart',
      namespace: 'shop',
      scope: 'namespace',
      action: 'deny',
      rules: [[[{ principals: ['cluster.local/ns/shop/sa/cart'] }]]],
    },
  ]);
  const { next } = value(ask(view, { from: 'shop/cart-1', to: 'web:80' }));
  const inbound = value(
    ask(view, { side: 'inbound', identity: next!.identity, sourceIp: next!.sourceIp, to: next!.address }),
  );
  assert.equal(inbound.allowed, false);
  assert.equal(inbound.code, 'denied');
  assert.match(inbound.verdict, /denied by AuthorizationPolicy shop\/no-cart.*rule 1/);
  assert.match(formatProof(inbound.steps).join('\n'), /cluster.local\/ns\/shop\/sa\/cart/);
});

test('a client outside the mesh arrives as plaintext', () => {
  const outbound = value(ask(shop(), { from: 'outside/out-1', to: 'web.shop:80' }));
  assert.match(outbound.verdict, /plain TCP.*outside\/out-1 is not in the mesh/);
  assert.equal(outbound.next?.identity, '');
  const { next } = outbound;
  const inbound = value(ask(shop(), { side: 'inbound', identity: '', sourceIp: next!.sourceIp, to: next!.address }));
  assert.equal(inbound.allowed, true);
});

test('a destination nobody guards has no other half, an unknown port is refused', () => {
  assert.equal(value(ask(shop(), { from: 'shop/cart-1', to: '10.1.1.9:9000' })).next, undefined);
  assert.equal(value(ask(shop(), { from: 'shop/cart-1', to: '203.0.113.1:443' })).next, undefined);
  const refused = value(ask(shop(), { from: 'shop/cart-1', to: 'web:81' }));
  assert.equal(refused.allowed, false);
  assert.equal(refused.code, 'unknown-port');
});

test('IPv6 destinations are written and read with brackets', () => {
  const { next } = value(ask(shop(), { from: 'shop/cart-1', to: '[fd00::3]:8080' }));
  assert.equal(next?.address, '[fd00::3]:8080');
  assert.equal(next?.sourceIp, 'fd00::2');
  const query = { side: 'inbound', identity: next!.identity, sourceIp: next!.sourceIp, to: next!.address };
  assert.equal(value(ask(shop(), query)).allowed, true);
});

test('a question that cannot be answered names the field and the fix', () => {
  assert.match(problem(ask(shop(), { from: 'shop/cart-1', to: 'web' })), /^to: "web" is no HOST:PORT; write/);
  assert.match(problem(ask(shop(), { from: 'shop/cart-1', to: 'nothing:80' })), /^to: no service is called nothing/);
  assert.match(problem(ask(shop(), { from: 'shop/nobody', to: 'web:80' })), /^from: "shop\/nobody" is no workload/);
  assert.match(
    problem(ask(shop(), { side: 'inbound', identity: 'x', sourceIp: 'y', to: '10.9.9.9:1' })),
    /identity.*to: no workload.*|identity.*sourceIp/,
  );
});
