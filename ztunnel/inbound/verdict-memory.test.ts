// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { InboundFlow } from '#lib/mesh/flow.ts';
import { parseIdentity } from '#lib/mesh/identity.ts';
import { parseIp } from '#lib/mesh/ip.ts';
import type { AccessVerdict } from '#lib/mesh/verdict.ts';
import { workload } from '#lib/testkit/mesh.ts';
import { VerdictMemory } from './verdict-memory.ts';

const local = workload({ name: 'server' });
const flow: InboundFlow = {
  sourceIp: parseIp('10.0.0.1')!,
  identity: parseIdentity('spiffe://cluster.local/ns/shop/sa/web'),
  destinationIp: parseIp('10.0.0.2')!,
  destinationPort: 80,
};
const verdict: AccessVerdict = { allow: true, reason: 'no-policy', policy: '', rule: -1, clause: '', dryRun: [] };

test('a verdict holds for an equal flow while the mesh stays as it is, and for nothing else', () => {
  const memory = new VerdictMemory();
  memory.put(7, local, flow, verdict);
  assert.equal(memory.find(7, local, { ...flow }), verdict);
  assert.equal(memory.find(7, local, { ...flow, destinationIp: parseIp('10.0.0.2')! }), verdict);
  assert.equal(memory.find(8, local, flow), undefined, 'the mesh changed');
  assert.equal(memory.find(7, workload({ name: 'server' }), flow), undefined, 'another record of the workload');
  const others: Partial<InboundFlow>[] = [
    { sourceIp: parseIp('10.0.0.9')! },
    { identity: undefined },
    { identity: parseIdentity('spiffe://cluster.local/ns/shop/sa/cart') },
    { destinationIp: parseIp('10.0.0.3')! },
    { destinationPort: 81 },
  ];
  for (const other of others) assert.equal(memory.find(7, local, { ...flow, ...other }), undefined);
});
