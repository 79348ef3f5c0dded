// SPDX-License-Identifier: Apache-2.0
// Clusters of services that come and go, and of ports that no service has.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MapMesh } from '#lib/mesh/map-mesh.ts';
import { service, workload } from '#lib/testkit/mesh.ts';
import { Clusters } from './clusters.ts';
import type { UpstreamRuntime } from './runtime.ts';

class Fixture {
  readonly mesh = new MapMesh();
  readonly clusters: Clusters;
  readonly #l7 = { version: 1, trafficPolicy: () => undefined, labels: () => ({}) };

  constructor() {
    const self = workload({ name: 'waypoint' });
    const runtime: unknown = {
      ...{ mesh: this.mesh, l7: this.#l7, self: () => self, settings: { ip: '10.0.0.1' }, random: () => 0 },
      loop: { now: 0, after: () => 0 },
    };
    this.clusters = new Clusters(runtime as UpstreamRuntime);
  }

  add(name: string): void {
    this.mesh.putService(service({ name, namespace: 'shop', ports: { '80': 8080 } }));
    this.mesh.putWorkload(
      workload({ name: `${name}-1`, namespace: 'shop', ips: ['10.0.0.2'], serves: { [keyOf(name)]: { '80': 8080 } } }),
    );
    this.#l7.version++;
  }

  remove(name: string): void {
    this.mesh.removeService(keyOf(name));
    this.#l7.version++;
  }

  get kept(): string[] {
    return [...this.clusters.list()].map(({ target }) => `${target.service}:${target.port}`);
  }
}

const keyOf = (name: string): string => `shop/${name}.shop.svc.cluster.local`;
const target = (name: string, port = 80) => ({ service: keyOf(name), port, subset: '' });

test('clusters of services that are gone are forgotten, however many come and go, and those that are there stay', () => {
  const fixture = new Fixture();
  const { clusters } = fixture;
  fixture.add('stays');
  const stays = clusters.of(target('stays'));
  for (let n = 0; n < 2000; n++) {
    fixture.add(`s${n}`);
    assert.equal(clusters.of(target(`s${n}`)).empty, false);
    fixture.remove(`s${n}`);
    if (n % 50 === 0) clusters.onTimer();
    assert.ok(fixture.kept.length <= 51);
  }
  clusters.onTimer();
  assert.deepEqual(fixture.kept, [`${keyOf('stays')}:80`]);
  assert.equal(clusters.of(target('stays')), stays);
});

test('ports that a service has not leave nothing behind', () => {
  const fixture = new Fixture();
  fixture.add('web');
  for (let port = 1; port <= 2000; port++) fixture.clusters.of(target('web', port));
  fixture.clusters.onTimer();
  assert.deepEqual(fixture.kept, [`${keyOf('web')}:80`]);
});

test('a route’s own object for a service that was gone finds the service when it is back', () => {
  const fixture = new Fixture();
  const route = target('web');
  assert.equal(fixture.clusters.of(route).missing, true);
  fixture.clusters.onTimer();
  assert.deepEqual(fixture.kept, []);
  fixture.add('web');
  const found = fixture.clusters.of(route);
  assert.deepEqual([found.missing, found.empty], [false, false]);
  assert.deepEqual(fixture.kept, [`${keyOf('web')}:80`]);
  assert.equal(fixture.clusters.of(route), found);
});
