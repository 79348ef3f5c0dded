// SPDX-License-Identifier: Apache-2.0
//
// The model as a whole: any history of objects ends where their last state alone would, one change is one
// recomputation, and what comes out is what node proxies understand.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Collection } from '#lib/collections/collection.ts';
import {
  authorizationPolicy,
  inCluster,
  kubeService,
  namespace,
  node,
  peerAuthentication,
  pod,
  serviceAccount,
  serviceEntry,
  slice,
  testModel,
  waypointGateway,
  workloadEntry,
} from '#lib/testkit/model.ts';
import fc from '#lib/testkit/properties.ts';
import { type KubeObject, keyOf } from './object/object.ts';
import { WdsState } from './wds/state.ts';

const WAYPOINT = 'istio.io/use-waypoint';
const within = fc.constantFrom('shop', 'depot', 'istio-system');
const name = fc.constantFrom('a', 'b', 'c');
const labels = fc.constantFrom<Record<string, string>>({}, { app: 'x' }, { app: 'y' }, { app: 'x', tier: 'front' });
const asksWaypoint = fc.constantFrom<Record<string, string>>({}, { [WAYPOINT]: 'w' }, { [WAYPOINT]: 'none' });
const mode = fc.constantFrom('STRICT', 'PERMISSIVE', 'DISABLE', 'UNSET');
const date = fc.constantFrom('2026-01-01T00:00:00Z', '2026-01-02T00:00:00Z');

const objects: fc.Arbitrary<KubeObject> = fc.oneof(
  fc.record({ within, labels: asksWaypoint, network: fc.constantFrom('', 'n1') }).map((o) =>
    namespace(o.within, {
      labels: { ...o.labels, ...(o.network !== '' && { 'topology.istio.io/network': o.network }) },
    }),
  ),
  fc
    .record({ name, zone: fc.constantFrom('z1', 'z2') })
    .map((o) => node(o.name, { 'topology.kubernetes.io/zone': o.zone })),
  fc.record({ name, within, labels: asksWaypoint }).map((o) => serviceAccount(o.name, o.within, { labels: o.labels })),
  fc
    .record({
      name,
      within,
      labels,
      node: name,
      account: name,
      ip: fc.nat(3),
      ready: fc.boolean(),
      captured: fc.boolean(),
      phase: fc.constantFrom('Running', 'Running', 'Succeeded'),
      port: fc.constantFrom('http', 'other'),
    })
    .map((o) =>
      pod(o.name, { ...o, namespace: o.within, ips: o.ip === 0 ? [] : [`10.0.0.${o.ip}`], ports: { [o.port]: 8080 } }),
    ),
  fc
    .record({
      name,
      within,
      selector: fc.option(fc.constantFrom({ app: 'x' }, { app: 'y' }, { tier: 'front' }), { nil: undefined }),
      ip: fc.constantFrom('10.96.0.1', '10.96.0.2', 'None'),
      target: fc.constantFrom<number | string>(8080, 'http'),
      meta: asksWaypoint,
    })
    .map((o) =>
      kubeService(o.name, {
        namespace: o.within,
        ip: o.ip,
        ports: [{ port: 80, targetPort: o.target }],
        ...(o.selector && { selector: o.selector }),
        meta: { labels: o.meta },
      }),
    ),
  fc.record({ name, service: name, within, pod: fc.option(name, { nil: undefined }) }).map((o) =>
    slice(
      `slice-${o.name}`,
      o.service,
      {
        endpoints: [
          {
            addresses: ['192.0.2.1'],
            ...(o.pod !== undefined && { targetRef: { kind: 'Pod', name: o.pod, namespace: o.within } }),
          },
        ],
        ports: [{ port: 9000 }],
      },
      o.within,
    ),
  ),
  fc
    .record({
      name,
      within,
      selector: fc.option(labels, { nil: undefined }),
      action: fc.constantFrom('ALLOW', 'DENY', 'AUDIT'),
      rules: fc.array(
        fc.constantFrom(
          {},
          { from: [{ source: { namespaces: ['shop'], serviceAccounts: [] } }] },
          { to: [{ operation: { ports: ['80'], methods: ['GET'] } }] },
          { from: [{ source: { ipBlocks: ['bad'] } }] },
          { when: [{ key: 'destination.port', values: ['80'] }] },
        ),
        { maxLength: 2 },
      ),
    })
    .map((o) =>
      authorizationPolicy(
        o.name,
        { action: o.action, rules: o.rules, ...(o.selector && { selector: { matchLabels: o.selector } }) },
        o.within,
      ),
    ),
  fc
    .record({
      name,
      within,
      mode: fc.option(mode, { nil: undefined }),
      labels: fc.option(labels, { nil: undefined }),
      ports: fc.option(fc.dictionary(fc.constantFrom('80', '8080'), mode), { nil: undefined }),
      date,
    })
    .map(({ date: creationTimestamp, labels: l, mode: m, name: n, ports, within: w }) =>
      peerAuthentication(n, { ...(l && { labels: l }), ...(m && { mode: m }), ...(ports && { ports }) }, w, {
        creationTimestamp,
      }),
    ),
  fc
    .record({
      within,
      address: fc.option(fc.constant('10.96.9.9'), { nil: undefined }),
      traffic: fc.constantFrom('service', 'all'),
    })
    .map((o) =>
      waypointGateway('w', {
        namespace: o.within,
        labels: { 'istio.io/waypoint-for': o.traffic },
        ...(o.address !== undefined && { address: o.address }),
      }),
    ),
);

const entries: fc.Arbitrary<KubeObject> = fc.oneof(
  fc
    .record({
      name,
      within,
      hosts: fc.uniqueArray(fc.constantFrom('api.test', 'a.shop.svc.cluster.local', '*.test'), { minLength: 1 }),
      resolution: fc.constantFrom('NONE', 'STATIC', 'DNS', 'DYNAMIC_DNS'),
      addresses: fc.array(fc.constantFrom('240.240.0.9', '10.9.0.0/16', 'bad'), { maxLength: 1 }),
      endpoints: fc.array(
        fc.constantFrom({ address: '192.0.2.7' }, { address: 'db.test', network: 'n2', ports: { http: 81 } }),
        { maxLength: 2 },
      ),
      selector: fc.option(fc.constantFrom({ app: 'x' }, { app: 'y' }), { nil: undefined }),
      meta: asksWaypoint,
      date,
    })
    .map(({ date: creationTimestamp, meta: l, name: n, selector, within: w, ...spec }) =>
      serviceEntry(
        n,
        { ...spec, ports: [{ number: 80, name: 'http' }], ...(selector && { workloadSelector: { labels: selector } }) },
        w,
        { labels: l, creationTimestamp },
      ),
    ),
  fc
    .record({ name, within, labels, meta: asksWaypoint, weight: fc.nat(2), network: fc.constantFrom('', 'n2') })
    .map((o) =>
      workloadEntry(
        o.name,
        { address: `192.0.2.${o.name.charCodeAt(0)}`, labels: o.labels, weight: o.weight, network: o.network },
        o.within,
        { labels: o.meta },
      ),
    ),
  fc
    .record({ network: fc.constantFrom('n1', 'n2'), remote: fc.boolean(), address: fc.constantFrom('203.0.113.1', '') })
    .map(({ address, network, remote }) => {
      const gateway = waypointGateway('east', {
        namespace: 'istio-system',
        labels: { 'topology.istio.io/network': network },
        ...(address !== '' && { address }),
      });
      const listeners = [{ name: 'mesh', port: 15008, protocol: 'HBONE', tls: { mode: 'Terminate' } }];
      const gatewayClassName = remote ? 'istio-east-west' : 'istio-remote';
      const object = { ...gateway, spec: { gatewayClassName, listeners } };
      return remote ? inCluster('far', object) : object;
    }),
);

const everything = fc.oneof(
  { weight: 3, arbitrary: objects },
  { weight: 1, arbitrary: entries },
  {
    weight: 1,
    arbitrary: objects
      .filter(({ kind }) => !kind?.endsWith('Policy') && kind !== 'PeerAuthentication')
      .map((object) => inCluster('far', object)),
  },
);

type Step = { readonly put: KubeObject } | { readonly remove: KubeObject };

const steps: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: everything.map((put) => ({ put })) },
  { weight: 1, arbitrary: everything.map((remove) => ({ remove })) },
);

function content(collection: Collection<unknown>): unknown {
  const plain = (value: unknown): unknown =>
    JSON.parse(JSON.stringify(value, (_k, v) => (v instanceof Map ? [...v] : v)));
  return [...collection.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, value]) => [key, plain(value)]);
}

const OUTPUTS = ['workloads', 'services', 'policies', 'addressResources', 'authorizationResources', 'reports'] as const;

test('any history of objects ends where their last state alone does', () => {
  fc.assert(
    fc.property(fc.array(fc.array(steps, { maxLength: 6 }), { maxLength: 8 }), fc.boolean(), (batches, auto) => {
      const settings = { autoAllowWaypoints: auto };
      const live = testModel([], settings);
      const last = new Map<string, KubeObject>();
      for (const batch of batches) {
        live.graph.batch(() => {
          for (const step of batch) {
            const object = 'put' in step ? step.put : step.remove;
            const key = `${object.kind} ${keyOf(object)}`;
            if ('put' in step) {
              live.apply(object);
              last.set(key, object);
            } else {
              live.remove(object);
              last.delete(key);
            }
          }
        });
      }
      const fresh = testModel([...last.values()], settings);
      for (const output of OUTPUTS) {
        assert.deepEqual(content(live.model[output]), content(fresh.model[output]), output);
      }
    }),
    { numRuns: 80 },
  );
});

test('what comes out is what node proxies take in, and every bound policy is sent', () => {
  fc.assert(
    fc.property(fc.array(everything, { maxLength: 25 }), (list) => {
      const { model } = testModel(list);
      const state = new WdsState();
      assert.deepEqual(state.applyAddresses([...model.addressResources.values()], []), []);
      assert.deepEqual(state.applyAuthorizations([...model.authorizationResources.values()], []), []);
      for (const workload of state.mesh.workloads()) {
        for (const key of workload.authorizationPolicies) {
          assert.ok(state.mesh.policy(key), `${workload.uid} is bound to ${key}, which is not sent`);
        }
      }
    }),
    { numRuns: 80 },
  );
});

/** Calls of deriving functions that a change causes, by collection. */
function work(live: ReturnType<typeof testModel>, change: () => void): Record<string, number> {
  const before = new Map(live.graph.stats().map((one) => [one.name, one.computed]));
  change();
  return Object.fromEntries(
    live.graph
      .stats()
      .map((one) => [one.name, one.computed - (before.get(one.name) ?? 0)] as const)
      .filter(([, count]) => count > 0),
  );
}

test('one changed pod recomputes that pod and nothing else', () => {
  const live = testModel([
    namespace('shop'),
    kubeService('cart', { selector: { app: 'cart' }, ip: '10.96.0.1' }),
    authorizationPolicy('allow', { selector: { matchLabels: { app: 'cart' } }, rules: [{}] }),
    ...Array.from({ length: 50 }, (_, i) => pod(`cart-${i}`, { ips: [`10.0.0.${i}`], labels: { app: 'cart' } })),
  ]);
  const done = work(live, () =>
    live.apply(pod('cart-7', { ips: ['10.0.0.7'], labels: { app: 'cart' }, ready: false })),
  );
  assert.deepEqual(done, {
    'pods in scope': 1,
    'pod waypoints': 1,
    'pod workloads': 1,
    'distant pods': 1,
    'near pods': 1,
    'pod labels': 1,
    'pod reports': 1,
    'service accounts of services': 1,
    workloads: 1,
    'workload resources': 1,
    'address resources': 1,
  });
  const service = work(live, () => live.apply(kubeService('other', { selector: { app: 'other' }, ip: '10.96.0.2' })));
  assert.equal(service['pod workloads'], undefined, 'a service that selects none of them wakes no pod');
});
