// SPDX-License-Identifier: Apache-2.0
//
// What outbound decisions promise whatever the mesh looks like: a waypoint is never bypassed, nobody is tunnelled to
// without an identity to expect, and only endpoints that may serve are chosen.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cidr, ip, mesh, type ServiceText, type WorkloadText, workload } from '#lib/testkit/mesh.ts';
import fc from '#lib/testkit/properties.ts';
import type { OutboundFlow, OutboundOptions } from './flow.ts';
import { parseIdentity } from './identity.ts';
import { resolveOutbound } from './outbound.ts';
import { NO_PROOF, recordProof } from './proof.ts';
import type { LoadBalancing } from './service.ts';

const WAYPOINTS = ['10.3.0.1:15008', 'default/w.default.svc.cluster.local:15008', 'n|10.3.0.9:15008'];
const optional = <T>(of: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(of, { nil: undefined });
const vip = fc.constantFrom('10.9.0.1', '10.9.0.2', '10.9.0.0/24', 'n|10.9.0.1', 'fd00::9');
const key = fc.constantFrom('default/a.default.svc.cluster.local', 'default/w.default.svc.cluster.local');

const workloads: fc.Arbitrary<WorkloadText[]> = fc.array(
  fc
    .record({
      name: fc.constantFrom('p1', 'p2', 'p3', 'p4', 'p5'),
      ips: fc.uniqueArray(fc.constantFrom('10.1.0.1', '10.1.0.2', '10.3.0.1', 'fd00::1'), { maxLength: 2 }),
      network: fc.constantFrom('', '', '', 'n'),
      protocol: fc.constantFrom('hbone' as const, 'none' as const),
      healthy: fc.boolean(),
      capacity: fc.nat(2),
      hostNetwork: fc.boolean(),
      hostname: fc.constantFrom('', 'db.example.org'),
      node: fc.constantFrom('n1', 'n2'),
      waypoint: optional(fc.constantFrom(...WAYPOINTS)),
      networkGateway: optional(fc.constantFrom('n|10.3.0.9:15009', '10.3.0.1:15008')),
      serves: fc.dictionary(key, fc.constantFrom({ 80: 8080 }, { 80: 0 }, { 15008: 15008 }, {}), { maxKeys: 2 }),
    })
    .map(({ networkGateway, waypoint, ...rest }) => ({
      ...rest,
      ...(waypoint !== undefined && { waypoint }),
      ...(networkGateway !== undefined && { networkGateway }),
    })),
  { maxLength: 6 },
);

const services: fc.Arbitrary<ServiceText[]> = fc.array(
  fc
    .record({
      name: fc.constantFrom('a', 'w'),
      namespace: fc.constantFrom('default', 'default', 'other'),
      vips: fc.array(vip, { maxLength: 2 }),
      ports: fc.constantFrom({ 80: 8080 }, { 80: 0 }, { 15008: 15008 }),
      waypoint: optional(fc.constantFrom(...WAYPOINTS)),
      weighted: fc.boolean(),
      visibility: fc.constantFrom('public' as const, 'namespace' as const),
      ipFamilies: fc.constantFrom('automatic' as const, 'ipv4' as const, 'ipv6' as const),
      subjectAltNames: fc.constantFrom([], ['spiffe://td/ns/a/sa/b', 'nonsense']),
      loadBalancing: fc.record<LoadBalancing>({
        mode: fc.constantFrom('any', 'strict', 'failover', 'passthrough'),
        scopes: fc.constantFrom(['node'], ['network', 'node'], []),
        allowUnhealthy: fc.boolean(),
      }),
    })
    .map(({ waypoint, weighted, ...rest }) => ({
      ...rest,
      ...(waypoint !== undefined && { waypoint }),
      ...(waypoint !== undefined && weighted && { weightedWaypoints: [{ address: waypoint, weight: 1 }] }),
    })),
  { maxLength: 4 },
);

const source = workload({ name: 'client', ips: ['10.1.9.9'], node: 'n1' });
const options: OutboundOptions = { network: '', clusterRanges: [cidr('10.0.0.0/8')], unknownCluster: 'refuse' };

test('a waypoint is never bypassed, an identity always expected, an unready endpoint never chosen', () => {
  const dial = fc.constantFrom('10.9.0.1', '10.9.0.2', '10.9.0.77', '10.1.0.1', '10.1.0.2', 'fd00::1', 'fd00::9');
  const seen = new Set<string>();
  fc.assert(
    fc.property(workloads, services, dial, fc.double({ min: 0, max: 0.999, noNaN: true }), (pods, svcs, to, chance) => {
      const view = mesh({ workloads: pods, services: svcs });
      view.putWorkload(source);
      const flow: OutboundFlow = { source, ip: ip(to), port: 80, tried: [], waited: true };
      const verdict = resolveOutbound(view, flow, options, () => chance, NO_PROOF);
      assert.deepEqual(
        resolveOutbound(view, flow, options, () => chance, recordProof()),
        verdict,
      );
      assert.notEqual(verdict.kind, 'wait', 'it was waited for');
      seen.add(`${verdict.kind} ${verdict.reason}`);
      if (verdict.kind === 'drop' || verdict.kind === 'wait') return;

      if (verdict.service?.waypoint !== undefined) {
        assert.ok(verdict.kind === 'hbone' || verdict.kind === 'double-hbone', verdict.kind);
        assert.equal(verdict.waypoint, true, 'a service with a waypoint');
      }
      if (verdict.service === undefined && verdict.kind !== 'passthrough' && verdict.workload?.waypoint !== undefined) {
        const direct = verdict.kind === 'tcp' || (verdict.kind === 'hbone' && !verdict.waypoint);
        assert.equal(direct, false, 'a workload with a waypoint');
      }
      if (verdict.kind === 'hbone') {
        assert.ok(verdict.identities.length > 0 && verdict.identities.every((one) => parseIdentity(one)));
        assert.ok(verdict.target.ip !== undefined || verdict.target.hostname !== '');
        assert.equal(verdict.sameNode && verdict.workload.node !== source.node, false);
      }
      if (verdict.kind === 'double-hbone') assert.ok(verdict.outerIdentities.length > 0);
      if (verdict.service !== undefined && verdict.kind !== 'passthrough' && verdict.workload !== undefined) {
        const toEndpoint = !('waypoint' in verdict && verdict.waypoint);
        if (toEndpoint) {
          assert.ok(verdict.workload.healthy || verdict.service.loadBalancing.allowUnhealthy);
          assert.ok(verdict.workload.capacity > 0);
        }
        assert.ok(verdict.service.visibility === 'public' || verdict.service.namespace === source.namespace);
      }
      if (verdict.kind === 'passthrough') {
        assert.equal(view.workloadByAddress('', flow.ip), undefined);
        assert.equal(view.serviceByAddress('', flow.ip, source.namespace), undefined);
        assert.equal(flow.ip.family, 6, 'unknown cluster addresses are refused by setting');
      }
    }),
    { numRuns: 1500 },
  );
  assert.ok(seen.size > 10, `random meshes reach ${[...seen].join(', ')}`);
});
