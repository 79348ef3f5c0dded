// SPDX-License-Identifier: Apache-2.0
// What dials the proxy's own ports must not make it talk to itself for ever.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { Endpoint } from '#lib/linux/address.ts';
import { createTestCa, type TestCa } from '#lib/testkit/certificates.ts';
import { App } from '#lib/testkit/plain-app.ts';
import { twoNodes } from '#lib/testkit/two-nodes.ts';

let ca: TestCa;
before(async () => {
  ca = await createTestCa();
});

test("an application that dials the proxy's own ports is cut, and the log says why", async () => {
  await using rig = await twoNodes(ca);
  for (const [ip, port, direction] of [
    ['127.0.0.1', 15001, 'outbound'],
    ['::1', 15001, 'outbound'],
    ['127.0.0.1', 15006, 'inbound'],
  ] as const) {
    const seen = rig.one.lines.length;
    const client = App.dial(rig.loop, Endpoint.parse(ip, port)!, rig.cart.netns);
    await rig.until(`${ip} ${port} is cut`, () => client.end === 'reset');
    await rig.until('it is logged', () => rig.one.lines.length === seen + 1);
    const line = rig.one.lines[seen]!;
    assert.deepEqual([line['direction'], line['error']], [direction, 'attempted recursive call to ourselves']);
  }
});
