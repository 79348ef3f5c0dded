// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { privilegesOf, setprivArguments } from './launch.ts';

test('the container’s security context wins over the pod’s', () => {
  const { user, group, groups } = privilegesOf({ runAsUser: 1, runAsGroup: 2, fsGroup: 3 }, { runAsUser: 9 });
  assert.deepEqual([user, group, groups], [9, 2, [3]]);
});

test('a container that must not be root and would be is refused', () => {
  assert.throws(() => privilegesOf({ runAsNonRoot: true }, {}), /runAsNonRoot and would run as root/);
  assert.equal(privilegesOf({ runAsNonRoot: true }, {}, 1337).user, 1337);
});

test('dropped and added capabilities leave exactly what was asked for', () => {
  const of = (add: string[], drop: string[]): readonly string[] | undefined =>
    privilegesOf({}, { capabilities: { add, drop } }).capabilities;
  assert.deepEqual(of(['NET_ADMIN', 'CAP_SYS_ADMIN'], ['ALL']), ['net_admin', 'sys_admin']);
  assert.equal(of([], ['CHOWN'])?.includes('chown'), false);
  assert.equal(of([], [])?.includes('net_bind_service'), true);
  assert.equal(of(['ALL'], []), undefined);
  assert.equal(privilegesOf({}, { privileged: true }).capabilities, undefined);
});

test('setpriv is told users only where they can be changed, and left out when nothing changes', () => {
  const privileges = privilegesOf(
    {},
    { runAsUser: 5, capabilities: { drop: ['ALL'] }, allowPrivilegeEscalation: false },
  );
  assert.deepEqual(setprivArguments(privileges, true).slice(1), [
    ...['--bounding-set=-all', '--inh-caps=-all', '--reuid=5', '--clear-groups', '--no-new-privs', '--'],
  ]);
  assert.equal(
    setprivArguments(privileges, false).some((word) => word.startsWith('--reuid')),
    false,
  );
  assert.deepEqual(setprivArguments(privilegesOf({}, { privileged: true }), true), []);
});
