// SPDX-License-Identifier: Apache-2.0
// What a DestinationRule's connection pool allows connections: how many streams at once, how long they stand still or last, and how old
// a connection may be that another request begins on.
import assert from 'node:assert/strict';
import { createServer as createHttp } from 'node:http';
import type { Server, Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { Greeter } from '#lib/testkit/greeter.ts';
import { listenAnywhere } from '#lib/testkit/listen.ts';
import type { HeardStream } from '#lib/testkit/mesh-client.ts';
import { until } from '#lib/testkit/until.ts';
import { POOL } from '#lib/testkit/waypoint.ts';
import { WaypointMesh } from '#lib/testkit/waypoint-mesh.ts';

const POOLS: Readonly<Record<string, object>> = {
  one: { ...POOL, maxConnections: 1 },
  still: { ...POOL, tcpIdleTimeoutMs: 300 },
  lasting: { ...POOL, maxConnectionDurationMs: 300, keepalive: { probes: 3, timeMs: 60_000, intervalMs: 10_000 } },
};
const vipOf = (name: string): string => `127.127.1.${Object.keys(POOLS).indexOf(name) + 1}`;

let mesh: WaypointMesh;
/** Connections that requests have come by. */
const seen = new Set<Socket>();
const greeter = new Greeter();
const http = createHttp((request, response) => {
  seen.add(request.socket);
  response.end('ok');
});

before(async () => {
  const [stream, web] = [await greeter.listen(), await listenAnywhere(http as Server)];
  mesh = await WaypointMesh.start(
    Object.keys(POOLS).map((name) => ({
      name,
      vip: vipOf(name),
      ports: { 80: ['HTTP11', web], 90: ['TCP', stream] },
      upstream: { pool: POOLS[name] },
    })),
  );
});
after(async () => {
  await mesh?.stop();
  greeter.stop();
  http.close().closeAllConnections();
});

const open = (name: string): Promise<HeardStream> => mesh.client.listen(`${vipOf(name)}:90`);

test('maxConnections: a stream too many is ended, and there is room again when another has ended', async () => {
  const first = await open('one');
  await until('the first is served', () => first.text === 'hello');
  const second = await open('one');
  await until('the second is ended', () => second.closed);
  assert.equal(second.text, '');
  await until('it is counted', async () =>
    /ambit_streams_refused_total\{reason="UO"\} 1/.test(await mesh.program.metrics()),
  );
  first.stream.destroy();
  await until('another is served', async () => {
    const next = await open('one');
    await until('it is served or ended', () => next.text === 'hello' || next.closed);
    next.stream.destroy();
    return next.text === 'hello';
  });
});

test('idleTimeout of TCP: a stream that stands still is ended', async () => {
  const still = await open('still');
  await until('it is served', () => still.text === 'hello');
  await until('it is ended', () => still.closed);
});

test('maxConnectionDuration: a stream is ended however busy it is', async () => {
  const lasting = await open('lasting');
  const busy = setInterval(() => void lasting.stream.write('more'), 20);
  try {
    await until('it is ended', () => lasting.closed);
  } finally {
    clearInterval(busy);
  }
  await until('the end is told', async () =>
    /istio_tcp_connections_closed_total\{.*response_flags="DT"/.test(await mesh.program.metrics()),
  );
});

test('maxConnectionDuration: requests go on, by another connection than the old one', async () => {
  await until('a second connection', async () => {
    const { status } = await mesh.client.ask(`${vipOf('lasting')}:80`, { path: '/', headers: { host: 'a' } });
    assert.equal(status, 200);
    return seen.size >= 2;
  });
});
