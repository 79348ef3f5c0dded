// SPDX-License-Identifier: Apache-2.0
// Each part of the control plane killed, paused and cut off: nothing is lost, node proxies go on with their last state,
// certificates are renewed meanwhile, and all is well again within 10 s of the part's return. Real programs throughout;
// the traffic between two pods never notices, and what one replica may write is written by the holder of its lease only.
import assert from 'node:assert/strict';
import { after, afterEach, before, type TestContext, test } from 'node:test';
import { until } from '#lib/testkit/until.ts';
import { type Change, ControlPlane } from '../harness/control-plane.ts';
import type { Replica } from '../harness/replica.ts';

let plane: ControlPlane;

before(async () => {
  plane = await ControlPlane.start();
});
after(async () => {
  await plane?.[Symbol.asyncDispose]();
});
afterEach(async () => {
  await plane.calm();
  assert.deepEqual(plane.intruders(), []);
});

/** What the node proxies know stays as it is while `during` runs. */
async function unchanged(during: () => Promise<unknown>): Promise<undefined> {
  const known = await plane.known();
  await during();
  assert.deepEqual(await plane.known(), known);
}

interface Outage {
  readonly go: () => unknown;
  /** What goes on without the part; gives what it has to catch up with, or nothing. */
  readonly meanwhile: () => Promise<Change | undefined>;
  readonly back: () => unknown;
}

/** A part goes and comes back; tells how soon all is well then. */
async function outage(t: TestContext, { back, go, meanwhile }: Outage): Promise<void> {
  await go();
  let change: Change | undefined;
  try {
    change = await meanwhile();
  } finally {
    await back();
  }
  const since = performance.now();
  t.diagnostic(await plane.recovered(change ?? (await plane.change()), since));
}

test('the leader killed: the other leads, its proxies move, and the one started in its place is soon complete', async (t) => {
  const { leader, other } = await plane.roles();
  await outage(t, {
    go: () => leader.end('SIGKILL'),
    meanwhile: () => succession(leader, other),
    back: () => plane.restart(leader),
  });
});

test('the leader stopped: the other leads, and the one that goes on writes nothing before it leads anew', async (t) => {
  const { leader, other } = await plane.roles();
  await outage(t, {
    go: () => leader.istiod.signal('SIGSTOP'),
    meanwhile: () => succession(leader, other),
    back: () => leader.istiod.signal('SIGCONT'),
  });
  await until('it to know', () => /no longer leading/.test(leader.istiod.output()));
});

test('the leader cut off: it leads no more, the other does, and all is well when packets pass', async (t) => {
  const { leader, other } = await plane.roles();
  await outage(t, {
    go: () => leader.island.cut(),
    meanwhile: () => succession(leader, other),
    back: () => leader.island.join(),
  });
});

/** The other one signs, and leads; what is new then the former leader would write, if it still thought that it led. */
async function succession(leader: Replica, other: Replica): Promise<Change> {
  await plane.certificate(other);
  await plane.leadership.succeeded(leader);
  return await plane.change();
}

test('a replica killed: its proxies move to the other, and nothing is missing when it is back', async (t) => {
  const { leader, other } = await plane.roles();
  await outage(t, {
    go: () => other.end('SIGKILL'),
    meanwhile: () => absence(leader),
    back: () => plane.restart(other),
  });
});

test('a replica stopped: its proxies keep their state and learn everything when it goes on', async (t) => {
  const { leader, other } = await plane.roles();
  await outage(t, {
    go: () => other.istiod.signal('SIGSTOP'),
    meanwhile: () => absence(leader),
    back: () => other.istiod.signal('SIGCONT'),
  });
});

test('a replica cut off: its proxies keep their state and learn everything when packets pass', async (t) => {
  const { leader, other } = await plane.roles();
  await outage(t, {
    go: () => other.island.cut(),
    meanwhile: () => absence(leader),
    back: () => other.island.join(),
  });
});

/** The leader goes on alone, for some seconds. */
async function absence(leader: Replica): Promise<Change> {
  const change = await plane.change();
  await plane.certificate(leader);
  await plane.written(change);
  await plane.leadership.renewals(2);
  return change;
}

// The first certificates are half their life old by now: what is away next is away when they are renewed.
test('the API server killed: certificates are renewed without it, and it comes back with all it knew', async (t) => {
  await outage(t, {
    go: () => plane.api.kill(),
    meanwhile: () =>
      unchanged(async () => {
        await plane.certificates();
        await plane.renewed();
      }),
    back: () => plane.api.start(),
  });
});

test('the API server stopped: certificates are issued, and all is well when it goes on', async (t) => {
  await outage(t, {
    go: () => plane.api.signal('SIGSTOP'),
    meanwhile: () => unchanged(() => plane.certificates()),
    back: () => plane.api.signal('SIGCONT'),
  });
});

test('the API server cut off: certificates are issued, and what others told it arrives afterwards', async (t) => {
  await outage(t, {
    go: () => plane.apiIsland.cut(plane.host),
    meanwhile: async () => {
      const change = await plane.change();
      await unchanged(() => plane.certificates());
      return change;
    },
    back: () => plane.apiIsland.join(),
  });
});

test('a rolling update: replicas end one after another, and no proxy misses a change or drops a connection', async (t) => {
  const { leader, other } = await plane.roles();
  for (const replica of [other, leader]) {
    const meanwhile = (): Promise<Change> => plane.change();
    await outage(t, { go: () => replica.end(), meanwhile, back: () => plane.restart(replica) });
  }
});
