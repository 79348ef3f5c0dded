// SPDX-License-Identifier: Apache-2.0
// Fuzzes what comes from a control plane: any bytes are applied or refused with a reason, and what was applied encodes
// to bytes that decode to the same.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { formatProblem } from '#lib/kit/result.ts';
import { fuzz } from '#lib/testkit/fuzz.ts';
import { policy, service, workload } from '#lib/testkit/mesh.ts';
import { encodePolicy, encodeService, encodeWorkload } from './encode.ts';
import { decodeAddress, decodeAuthorization, WdsState } from './state.ts';

const corpus = (name: string): string => join(import.meta.dirname, 'testdata', name);

fuzz({
  name: 'any bytes are an address or refused, and an address survives its own encoding',
  corpus: corpus('address'),
  seeds: [
    Buffer.from(
      encodeWorkload(
        workload({
          ips: ['10.0.0.1', 'fd00::1'],
          waypoint: 'shop/w.shop:15008',
          networkGateway: 'n|10.0.0.9:15008',
          serves: { 'a/b': { 80: 8080 } },
          authorizationPolicies: ['a/b'],
          capacity: 3,
          sameNodeTunnel: true,
        }),
      ).bytes,
    ),
    Buffer.from(
      encodeService(
        service({
          vips: ['10.96.0.1', 'n|10.0.0.0/8'],
          ports: { 80: 0 },
          subjectAltNames: ['spiffe://a/ns/b/sa/c'],
          weightedWaypoints: [{ address: '10.0.0.9:15008', weight: 3 }],
          loadBalancing: { mode: 'failover', scopes: ['network', 'zone'], allowUnhealthy: true },
        }),
      ).bytes,
    ),
  ],
  run(input) {
    const rejected = new WdsState().applyAddresses([{ name: 'x', bytes: input }], ['x', 'a/b']);
    const decoded = decodeAddress(input);
    assert.equal(rejected.length, decoded.ok ? 0 : 1);
    if (!decoded.ok) {
      assert.ok(rejected[0]!.reason !== '');
      return rejected[0]!.reason;
    }
    const { value } = decoded;
    const again = value.kind === 'workload' ? encodeWorkload(value.workload) : encodeService(value.service);
    const twice = decodeAddress(again.bytes);
    assert.ok(twice.ok);
    const third =
      twice.value.kind === 'workload' ? encodeWorkload(twice.value.workload) : encodeService(twice.value.service);
    assert.equal(third.version, again.version);
    return value.kind;
  },
});

fuzz({
  name: 'any bytes are a policy or refused, and a policy survives its own encoding',
  corpus: corpus('authorization'),
  seeds: [
    Buffer.from(
      encodePolicy(
        policy({
          action: 'deny',
          rules: [
            [
              [{ principals: ['a/*', '*'], notNamespaces: ['x'], sourceIps: ['10.0.0.0/8'] }],
              [{ destinationPorts: [80], notServiceAccounts: ['a/b'], destinationIps: ['fd00::/8'] }],
            ],
          ],
        }),
      ).bytes,
    ),
  ],
  run(input) {
    const decoded = decodeAuthorization(input);
    if (!decoded.ok) return formatProblem(decoded.problems[0]!);
    const again = encodePolicy(decoded.value.policy);
    const twice = decodeAuthorization(again.bytes);
    if (decoded.value.problems.length > 0) return decoded.value.problems.map(({ field }) => field).join();
    assert.ok(twice.ok && twice.value.problems.length === 0);
    assert.equal(encodePolicy(twice.value.policy).version, again.version);
    return decoded.value.policy.rules.map(({ clauses }) => clauses.map(({ matches }) => matches.length)).join('|');
  },
});
