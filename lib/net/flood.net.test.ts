// SPDX-License-Identifier: Apache-2.0
// Every known flood against the running programs, for a moment each: nobody falls, memory stays, and a client that behaves goes on.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ATTACKS, KNOCKS } from '#lib/testkit/flood/attacks.ts';
import { FloodRig } from '#lib/testkit/flood/rig.ts';
import { workersOf } from '#lib/testkit/flood/target.ts';

const MOMENT_MS = 30;
/** Resident memory that a victim may take more than before, kB. */
const MOST_GROWTH_KB = 200_000;

let rig: FloodRig;
before(async () => {
  rig = await FloodRig.start();
});
after(() => rig?.[Symbol.asyncDispose]());

for (const [at, name] of ['node proxy', 'waypoint', 'waypoint’s tunnels'].entries()) {
  test(`no HTTP/2 flood ends the process of a ${name}, fills its memory or stops a client that behaves`, async () => {
    const victim = rig.victims[at]!;
    const before = workersOf(victim.pid);
    const good = await rig.goodClient(victim);
    for (const attack of [...ATTACKS.keys(), ...KNOCKS]) {
      await rig.attack({ attack, target: victim.target, connections: 2, ms: MOMENT_MS });
    }
    await good.period();
    const again = await good.answered();
    good.end();
    assert.equal(again.failures, 0, 'the client’s connection lives, and is served');
    const now = workersOf(victim.pid);
    assert.deepEqual([...now.keys()], [...before.keys()], 'the data-plane process is the one it was');
    for (const [pid, kb] of now) assert.ok(kb < (before.get(pid) ?? 0) + MOST_GROWTH_KB, `${pid} has ${kb} kB`);
  });
}
