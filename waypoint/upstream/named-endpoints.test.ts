// SPDX-License-Identifier: Apache-2.0
// Endpoints by host name become endpoints by address, and follow what resolvers say.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIp } from '#lib/mesh/ip.ts';
import type { NameAnswer } from '#lib/proxy/dns/name-resolver.ts';
import { service, workload } from '#lib/testkit/mesh.ts';
import { NamedEndpoints } from './named-endpoints.ts';

const SERVICE = service({ name: 'db', namespace: 'shop', hostname: 'db.example.org', ports: { 80: 8080 } });

function rig(hostnames: readonly string[], family: 4 | 6 = 4) {
  const loop = { now: 0 };
  const asked = new Map<string, (answer: NameAnswer) => void>();
  let changes = 0;
  const ask = (hostname: string, told: (answer: NameAnswer) => void) => {
    asked.set(hostname, told);
    return { cancel: () => void asked.delete(hostname) };
  };
  const named = new NamedEndpoints(loop, { ask }, family, () => changes++);
  const endpoints = hostnames.map((hostname) => ({
    workload: workload({ name: hostname, namespace: 'shop', hostname }),
    ports: [],
  }));
  /** What one can be sent to, by address or by name. */
  const expand = (of = endpoints) =>
    named.expand(SERVICE, of).map(({ workload: { addresses, hostname } }) => addresses[0]?.text ?? hostname);
  const answer = (hostname: string, addresses: readonly string[], answered = true, lifeMs = 30_000) => {
    const told = asked.get(hostname);
    asked.delete(hostname);
    told?.({ addresses: addresses.map((ip) => parseIp(ip)!), answered, reason: '', expiresAt: loop.now + lifeMs });
  };
  return { loop, asked, named, endpoints, expand, answer, changes: () => changes };
}

test('a name stands for itself until it is resolved, then each of its addresses is an endpoint', () => {
  const { answer, changes, endpoints, expand, named } = rig(['a.example']);
  assert.deepEqual(expand(), ['a.example']);
  answer('a.example', ['192.0.2.1', '192.0.2.2']);
  assert.equal(changes(), 1);
  assert.deepEqual(expand(), ['192.0.2.1', '192.0.2.2']);
  const [first] = named.expand(SERVICE, endpoints);
  assert.equal(named.ownerOf(first!.workload.uid), endpoints[0]!.workload.uid);
});

test('a name is asked for again when its answer has lived its life, and not before', () => {
  const { answer, asked, changes, expand, loop, named } = rig(['a.example']);
  expand();
  answer('a.example', ['192.0.2.1']);
  loop.now = 29_999;
  named.refresh();
  assert.equal(asked.size, 0);
  loop.now = 30_000;
  named.refresh();
  assert.equal(asked.size, 1);
  answer('a.example', ['192.0.2.1']);
  assert.equal(changes(), 1, 'the same addresses are no news');
  loop.now = 60_000;
  named.refresh();
  answer('a.example', ['192.0.2.3']);
  assert.deepEqual([changes(), expand()], [2, ['192.0.2.3']]);
});

test('a resolver that does not answer changes nothing, one that says there is nothing does', () => {
  const { answer, asked, expand, loop, named } = rig(['a.example']);
  expand();
  answer('a.example', ['192.0.2.1']);
  loop.now = 30_000;
  named.refresh();
  answer('a.example', [], false, 0);
  assert.deepEqual(expand(), ['192.0.2.1']);
  assert.equal(asked.size, 0, 'it is left in peace for a while');
  loop.now = 35_000;
  named.refresh();
  answer('a.example', [], true, 5_000);
  assert.deepEqual(expand(), ['a.example'], 'whoever is sent there learns why');
});

test('names without addresses are left out as long as there are others', () => {
  const { answer, expand } = rig(['a.example', 'b.example']);
  assert.deepEqual(expand(), ['a.example', 'b.example']);
  answer('a.example', []);
  assert.deepEqual(expand(), ['b.example'], 'one that is being asked for may be waited for');
  answer('b.example', ['192.0.2.9']);
  assert.deepEqual(expand(), ['192.0.2.9']);
});

test('the proxy’s own family counts where a name has both, the other is better than none', () => {
  for (const [family, expected] of [
    [4, '192.0.2.1'],
    [6, '2001:db8::1'],
  ] as const) {
    const { answer, expand } = rig(['a.example', 'b.example'], family);
    expand();
    answer('a.example', ['192.0.2.1', '2001:db8::1']);
    answer('b.example', ['2001:db8::2']);
    assert.deepEqual(expand(), [expected, '2001:db8::2']);
  }
});

test('names that are gone are asked for no more', () => {
  const { asked, expand } = rig(['a.example']);
  expand();
  assert.equal(asked.size, 1);
  expand([]);
  assert.equal(asked.size, 0);
});
