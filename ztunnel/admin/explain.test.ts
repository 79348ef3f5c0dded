// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ExplainOptions, explain, explainTunnel } from '#lib/mesh/explain.ts';
import { MapMesh } from '#lib/mesh/map-mesh.ts';
import { policy, service, workload } from '#lib/testkit/mesh.ts';
import { resolver } from './explain-options.ts';

const options: ExplainOptions = {
  outbound: { network: '', clusterRanges: [], unknownCluster: 'pass' },
  resolve: resolver({
    clusterDomain: 'cluster.local',
    network: '',
    ipv6: true,
    preferredNamespace: undefined,
    searchDomains: undefined,
  }),
};

function shop(): MapMesh {
  const mesh = new MapMesh();
  const of = (name: string, ip: string, node: string) =>
    workload({ name, namespace: 'shop', serviceAccount: name, ips: [ip], node });
  mesh.putWorkload(of('cart', '10.0.0.1', 'a'));
  mesh.putWorkload(of('web', '10.0.0.3', 'a'));
  mesh.putWorkload({
    ...of('orders', '10.0.0.2', 'b'),
    services: new Map([['shop/orders.shop.svc.cluster.local', [{ servicePort: 80, targetPort: 8080 }]]]),
  });
  mesh.putService(service({ name: 'orders', namespace: 'shop', vips: ['10.1.0.1'], ports: { 80: 8080 } }));
  mesh.putPolicy(
    policy({
      name: 'deny-cart',
      namespace: 'shop',
      scope: 'namespace',
      action: 'deny',
      rules: [[[{ principals: ['cluster.local/ns/shop/sa/cart'], destinationPorts: [8080] }]]],
    }),
  );
  return mesh;
}

test('a denied connection names policy and rule, and how it would travel', () => {
  const result = explain(shop(), 'shop/cart', 'orders:80', options);
  assert.ok(result.ok);
  const { outbound, inbound, allowed, address } = result.value;
  assert.equal(allowed, false);
  assert.equal(address, '10.1.0.1');
  assert.equal(outbound.verdict['kind'], 'hbone');
  assert.equal(outbound.verdict['authority'], '10.0.0.2:8080');
  assert.equal(inbound?.verdict['policy'], 'shop/deny-cart');
  assert.match(inbound.text, /deny-cart.*rule 1/);
  assert.ok(outbound.lines.some((line) => line.includes('is a virtual address of')));
  assert.ok(inbound.proof.length > 0);
});

test('another caller is allowed by the same policy, through address or host name alike', () => {
  for (const to of ['orders.shop:80', '10.1.0.1:80', '10.0.0.2:8080']) {
    const result = explain(shop(), '10.0.0.3', to, options);
    assert.ok(result.ok);
    assert.equal(result.value.allowed, true, to);
  }
});

test('limits on a pod’s new connections are told where there are any', () => {
  const lines = (podLimits: ExplainOptions['podLimits']): string => {
    const result = explain(shop(), 'shop/web', 'orders:80', { ...options, ...(podLimits && { podLimits }) });
    assert.ok(result.ok);
    return result.value.outbound.lines.join('\n');
  };
  assert.match(lines({ connections: 7, handshakes: 0 }), /AMBIT_POD_CONNECTIONS_PER_SECOND.*\n?.*7 a second/);
  assert.doesNotMatch(lines({ connections: 7, handshakes: 0 }), /HANDSHAKES/);
  assert.doesNotMatch(lines(undefined), /a second/);
});

test('addresses outside the mesh pass in clear, with no verdict at the far end', () => {
  const result = explain(shop(), 'shop/web', '192.0.2.1:443', options);
  assert.ok(result.ok);
  assert.equal(result.value.outbound.verdict['kind'], 'passthrough');
  assert.equal(result.value.inbound, undefined);
});

test('unknown callers, names and ports are told with what to write instead', () => {
  const reason = (from: string, to: string): string => {
    const result = explain(shop(), from, to, options);
    assert.ok(!result.ok);
    return result.problems[0]!.message;
  };
  assert.match(reason('shop/nobody', 'orders:80'), /no workload "shop\/nobody"/);
  assert.match(reason('shop/web', 'orders'), /no destination/);
  assert.match(reason('shop/web', 'orders:99999'), /no destination/);
  assert.match(reason('shop/web', 'nowhere.example:80'), /no service of the mesh/);
  const closed = explain(shop(), 'shop/web', 'orders:81', options);
  assert.ok(closed.ok);
  assert.equal(closed.value.outbound.verdict['reason'], 'unknown-port');
  assert.equal(closed.value.allowed, false);
});

test('a client outside the mesh arrives as plaintext, and STRICT refuses it', () => {
  const mesh = shop();
  mesh.putWorkload(workload({ name: 'outsider', namespace: 'outside', ips: ['10.0.0.9'], protocol: 'none' }));
  const open = explain(mesh, 'outside/outsider', 'orders.shop:80', options);
  assert.ok(open.ok);
  assert.equal(open.value.allowed, true);
  assert.match(open.value.outbound.text, /plain TCP.*not in the mesh/);
  mesh.putPolicy(
    policy({
      name: 'strict',
      namespace: 'shop',
      scope: 'namespace',
      action: 'deny',
      rules: [[[{ notPrincipals: ['*'] }]]],
    }),
  );
  const closed = explain(mesh, 'outside/outsider', 'orders.shop:80', options);
  assert.ok(closed.ok);
  assert.equal(closed.value.allowed, false);
  assert.equal(closed.value.inbound?.verdict['policy'], 'shop/strict');
  const inside = explain(mesh, 'shop/web', 'orders:80', options);
  assert.ok(inside.ok && inside.value.allowed);
});

test('a tunnel that a proxy opens itself is judged by the proxy’s own identity, enrolled or not', () => {
  const mesh = shop();
  mesh.putWorkload(
    workload({ name: 'gate', namespace: 'shop', serviceAccount: 'cart', ips: ['10.0.0.9'], protocol: 'none' }),
  );
  const denied = explainTunnel(mesh, 'shop/gate', '10.0.0.2:8080', options);
  assert.ok(denied.ok);
  assert.equal(denied.value.allowed, false);
  assert.match(denied.value.inbound.text, /denied by AuthorizationPolicy shop\/deny-cart, rule 1/);
  const other = explainTunnel(mesh, 'shop/web', '10.0.0.2:8080', options);
  assert.ok(other.ok && other.value.allowed);
  for (const [from, to, field] of [
    ['shop/nobody', '10.0.0.2:8080', 'from'],
    ['shop/gate', '10.9.9.9:8080', 'to'],
    ['shop/gate', 'orders:80', 'to'],
  ] as const) {
    const refused = explainTunnel(mesh, from, to, options);
    assert.ok(!refused.ok);
    assert.equal(refused.problems[0]?.field, field);
  }
});
