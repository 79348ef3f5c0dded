// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { workload } from '#lib/testkit/mesh.ts';
import fc from '#lib/testkit/properties.ts';
import { rankOf, sharesAll } from './candidate.ts';
import type { Scope } from './service.ts';
import type { Workload } from './workload.ts';

const SCOPES: readonly Scope[] = ['region', 'zone', 'subzone', 'node', 'cluster', 'network'];
const source = placed(SCOPES);

/** A workload that shares exactly `scopes` with `source`. */
function placed(scopes: readonly Scope[]): Workload {
  const at = (scope: Scope): string => (scopes.includes(scope) ? `the ${scope}` : `another ${scope}`);
  return workload({
    locality: { region: at('region'), zone: at('zone'), subzone: at('subzone') },
    node: at('node'),
    clusterId: at('cluster'),
    network: at('network'),
  });
}

const someScopes = fc.shuffledSubarray([...SCOPES]);

test('nearness is the number of leading scopes shared, whatever the scopes', () => {
  const withoutLeadingNetwork = someScopes.filter((scopes) => scopes[0] !== 'network');
  fc.assert(
    fc.property(withoutLeadingNetwork, someScopes, (scopes, shared) => {
      const first = scopes.findIndex((scope) => !shared.includes(scope));
      assert.equal(rankOf(scopes, source, placed(shared)), first < 0 ? scopes.length : first);
    }),
  );
});

test('a leading network scope outweighs all others, and its difference does not end the count', () => {
  const rest = someScopes.map((scopes) => scopes.filter((scope) => scope !== 'network'));
  fc.assert(
    fc.property(rest, rest, rest, (scopes, near, far) => {
      const ranked: Scope[] = ['network', ...scopes];
      const [home, away] = [placed(['network', ...near]), placed(far)];
      assert.ok(rankOf(ranked, source, home) > rankOf(ranked, source, away), 'home first');
      assert.equal(rankOf(ranked, source, away), rankOf(scopes, source, away), 'others among themselves as without it');
    }),
  );
});

test('all scopes are shared or they are not', () => {
  fc.assert(
    fc.property(someScopes, someScopes, (scopes, shared) => {
      assert.equal(
        sharesAll(scopes, source, placed(shared)),
        scopes.every((scope) => shared.includes(scope)),
      );
    }),
  );
});
