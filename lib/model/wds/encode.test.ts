// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Cidr } from '#lib/mesh/cidr.ts';
import type { GatewayAddress } from '#lib/mesh/gateway-address.ts';
import { ip4, ip6 } from '#lib/mesh/ip.ts';
import type { Policy } from '#lib/mesh/policy.ts';
import { type Service, serviceKey } from '#lib/mesh/service.ts';
import type { Workload } from '#lib/mesh/workload.ts';
import { policy, workload } from '#lib/testkit/mesh.ts';
import fc from '#lib/testkit/properties.ts';
import { encodePolicy, encodeService, encodeWorkload } from './encode.ts';
import { decodeAddress, decodeAuthorization } from './state.ts';

const name = fc.constantFrom('a', 'b', 'shop', 'cart-1');
const word = fc.integer();
const anyIp = fc.oneof(
  word.map(ip4),
  fc.tuple(word, word, word, word).map(([a, b, c, d]) => ip6(a, b, c, d)),
);
const range = anyIp.chain((base) =>
  fc.integer({ min: 0, max: base.family === 4 ? 32 : 128 }).map((length) => new Cidr(base, length)),
);
const address: fc.Arbitrary<GatewayAddress> = fc.record({
  destination: fc.oneof(
    fc.record({ kind: fc.constant('ip' as const), network: name, ip: anyIp }),
    fc.record({ kind: fc.constant('hostname' as const), namespace: name, hostname: name }),
  ),
  hbonePort: fc.nat(65535),
});
const optional = <T>(of: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(of, { nil: undefined });
const ports = fc.array(fc.record({ servicePort: fc.nat(65535), targetPort: fc.nat(65535) }), { maxLength: 3 });
const services = fc.array(fc.tuple(fc.tuple(name, name), ports), { maxLength: 3 }).map((list) => {
  const unique = new Map(list.map(([[a, b], p]) => [`${a}/${b}`, p]));
  return new Map([...unique].sort(([a], [b]) => (a < b ? -1 : 1)));
});

const workloads: fc.Arbitrary<Workload> = fc.record({
  uid: name,
  name,
  namespace: name,
  serviceAccount: name,
  trustDomain: fc.constantFrom('cluster.local', 'td'),
  addresses: fc.array(anyIp, { maxLength: 2 }),
  hostname: name,
  network: fc.constantFrom('', 'n'),
  protocol: fc.constantFrom('none', 'hbone'),
  waypoint: optional(address),
  networkGateway: optional(address),
  node: name,
  clusterId: name,
  canonicalName: name,
  canonicalRevision: name,
  workloadType: fc.constantFrom('deployment', 'cronjob', 'pod', 'job'),
  workloadName: name,
  nativeTunnel: fc.boolean(),
  applicationTunnel: optional(
    fc.record({ protocol: fc.constantFrom('none' as const, 'proxy' as const), port: fc.nat(65535) }),
  ),
  services,
  authorizationPolicies: fc.array(name, { maxLength: 2 }),
  healthy: fc.boolean(),
  locality: fc.record({ region: fc.constantFrom('', 'r'), zone: fc.constantFrom('', 'z'), subzone: fc.constant('') }),
  hostNetwork: fc.boolean(),
  capacity: fc.nat(5),
  sameNodeTunnel: fc.boolean(),
  httpMetrics: fc.boolean(),
});

const serviceValues: fc.Arbitrary<Service> = fc
  .record({
    name,
    namespace: name,
    hostname: name,
    vips: fc.array(fc.record({ network: name, range }), { maxLength: 2 }),
    ports: fc.array(
      fc.record({
        servicePort: fc.nat(65535),
        targetPort: fc.nat(65535),
        appProtocol: fc.constantFrom('unknown' as const, 'http2' as const, 'tls' as const),
      }),
      { maxLength: 2 },
    ),
    subjectAltNames: fc.array(name, { maxLength: 2 }),
    waypoint: optional(address),
    weightedWaypoints: fc.array(fc.record({ address, weight: fc.nat(100) }), { maxLength: 2 }),
    loadBalancing: fc.oneof(
      fc.constant({ mode: 'any' as const, scopes: [], allowUnhealthy: false }),
      fc.record({
        mode: fc.constantFrom('any' as const, 'strict' as const, 'failover' as const, 'passthrough' as const),
        scopes: fc.array(fc.constantFrom('region' as const, 'node' as const, 'network' as const), { maxLength: 3 }),
        allowUnhealthy: fc.constant(true),
      }),
    ),
    ipFamilies: fc.constantFrom('automatic', 'ipv4', 'ipv6', 'dual'),
    canonical: fc.boolean(),
    visibility: fc.constantFrom('public', 'namespace'),
    ingressUseWaypoint: fc.boolean(),
  })
  .map((fields) => ({ ...fields, key: serviceKey(fields.namespace, fields.hostname) }) as Service);

const policies: fc.Arbitrary<Policy> = fc
  .record({
    name,
    namespace: name,
    scope: fc.constantFrom('global' as const, 'namespace' as const, 'selector' as const),
    action: fc.constantFrom('allow' as const, 'deny' as const),
    dryRun: fc.boolean(),
    rules: fc.array(
      fc.array(
        fc.array(
          fc.record(
            {
              namespaces: fc.array(fc.constantFrom('a', 'a*', '*a', '*'), { maxLength: 2 }),
              notPrincipals: fc.array(fc.constantFrom('td/ns/a/sa/b', '*'), { maxLength: 2 }),
              serviceAccounts: fc.array(fc.constantFrom('a/b', 'c/d'), { maxLength: 2 }),
              sourceIps: fc.array(fc.constantFrom('10.0.0.0/8', '::1'), { maxLength: 2 }),
              destinationPorts: fc.array(fc.nat(65535), { maxLength: 2 }),
            },
            { requiredKeys: [] },
          ),
          { maxLength: 2 },
        ),
        { maxLength: 2 },
      ),
      { maxLength: 2 },
    ),
  })
  .map((fields) => policy(fields));

/** Private fields aside: what a value says. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value, (_key, v) => (v instanceof Map ? [...v] : v)));
}

test('every workload, service and policy survives the wire', () => {
  fc.assert(
    fc.property(workloads, (value) => {
      const decoded = decodeAddress(encodeWorkload(value).bytes);
      assert.ok(decoded.ok && decoded.value.kind === 'workload', JSON.stringify(decoded));
      assert.deepEqual(plain(decoded.value.workload), plain(value));
    }),
  );
  fc.assert(
    fc.property(serviceValues, (value) => {
      const decoded = decodeAddress(encodeService(value).bytes);
      assert.ok(decoded.ok && decoded.value.kind === 'service', JSON.stringify(decoded));
      assert.deepEqual(plain(decoded.value.service), plain(value));
    }),
  );
  fc.assert(
    fc.property(policies, (value) => {
      const decoded = decodeAuthorization(encodePolicy(value).bytes);
      assert.ok(decoded.ok && decoded.value.problems.length === 0, JSON.stringify(decoded));
      assert.deepEqual(plain(decoded.value.policy), plain(value));
    }),
  );
});

test('equal values have equal versions, whatever the order of their maps', () => {
  const one = workload({ serves: { 'a/x': { 80: 80 }, 'b/y': { 81: 81 } } });
  const two = workload({ serves: { 'b/y': { 81: 81 }, 'a/x': { 80: 80 } } });
  assert.equal(encodeWorkload(one).version, encodeWorkload(two).version);
  assert.notEqual(encodeWorkload(one).version, encodeWorkload(workload({ node: 'n2' })).version);
});
