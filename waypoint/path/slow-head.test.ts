// SPDX-License-Identifier: Apache-2.0
// Clients that begin a request and do not go on.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RawClient } from '#lib/testkit/raw-http.ts';
import { until } from '#lib/testkit/until.ts';
import { WaypointProgram } from '#lib/testkit/waypoint.ts';

test('a head that does not end in its time is answered 408, and the connection ends', async () => {
  await using program = await WaypointProgram.start({ services: [], routes: [] }, { AMBIT_HEAD_TIMEOUT: '300ms' });
  const client = await RawClient.connect(program.port());
  client.sendRaw('GET / HTTP/1.1\r\nhost: a\r\n');
  const [head] = await client.sees(/^HTTP\/1\.1 408 .*\r\n\r\n/s);
  assert.match(head, /\r\nconnection: close\r\n/);
  await until('the connection to end', () => client.ended);
  client.socket.destroy();
});
