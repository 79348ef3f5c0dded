// SPDX-License-Identifier: Apache-2.0
// What a DestinationRule's connection pool allows connections: how many streams at once, how long they stand still or last, and how old
// a connection may be that another request begins on.
import assert from 'node:assert/strict';
import { createServer as createHttp } from 'node:http';
import { createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { after, before, test } from 'node:test';
import { listenAnywhere } from '#lib/testkit/listen.ts';
import { MeshClient } from '#lib/testkit/mesh-client.ts';
import { until } from '#lib/testkit/until.ts';
import { serviceOf, WaypointProgram } from '#lib/testkit/waypoint.ts';

const UNLIMITED = 2 ** 32 - 1;
const POOL = {
  maxConnections: UNLIMITED,
  maxPendingRequests: UNLIMITED,
  maxRequests: UNLIMITED,
  maxRetries: UNLIMITED,
  connectTimeoutMs: 10_000,
  httpIdleTimeoutMs: 3_600_000,
  tcpIdleTimeoutMs: 3_600_000,
};
const POOLS: Readonly<Record<string, object>> = {
  one: { ...POOL, maxConnections: 1 },
  still: { ...POOL, tcpIdleTimeoutMs: 300 },
  lasting: { ...POOL, maxConnectionDurationMs: 300, keepalive: { probes: 3, timeMs: 60_000, intervalMs: 10_000 } },
};
const vipOf = (name: string): string => `127.127.1.${Object.keys(POOLS).indexOf(name) + 1}`;

let program: WaypointProgram;
let client: MeshClient;
const sockets = new Set<Socket>();
/** Connections that requests have come by. */
const seen = new Set<Socket>();
const greeter = createServer((socket) => {
  sockets.add(socket);
  socket.on('error', () => {});
  socket.write('hello');
  socket.pipe(socket);
});
const http = createHttp((request, response) => {
  seen.add(request.socket);
  response.end('ok');
});

before(async () => {
  const [stream, web] = [await listenAnywhere(greeter), await listenAnywhere(http as Server)];
  const names = Object.keys(POOLS);
  program = await WaypointProgram.start(
    {
      services: [],
      routes: [],
      more: {
        services: names.map((name) => ({
          name,
          namespace: 'default',
          hostname: `${name}.default.svc.cluster.local`,
          vips: [`/${vipOf(name)}`],
          ports: { 80: 0, 90: 0 },
          protocols: { 80: 'HTTP11', 90: 'TCP' },
        })),
        workloads: names.map((name) => ({
          uid: name,
          name,
          namespace: 'default',
          workloadIps: ['127.0.0.1'],
          services: { [serviceOf(name)]: { 80: web, 90: stream } },
        })),
        trafficPolicies: names.map((name) => ({ name: serviceOf(name), upstreams: [{ pool: POOLS[name] }] })),
      },
    },
    { FAKE_CA: 'true', POD_NAMESPACE: 'default', SERVICE_ACCOUNT: 'waypoint' },
  );
  client = await MeshClient.as('spiffe://cluster.local/ns/default/sa/client', program.port('mesh'));
});
after(async () => {
  client?.close();
  await program?.stop();
  for (const socket of sockets) socket.destroy();
  greeter.close();
  http.close().closeAllConnections();
});

interface Opened {
  readonly stream: Duplex;
  text: string;
  ended: boolean;
}

async function open(name: string): Promise<Opened> {
  const stream = await client.open(`${vipOf(name)}:90`);
  if (typeof stream === 'number') throw new Error(`CONNECT was answered with ${stream}`);
  const opened: Opened = { stream, text: '', ended: false };
  stream.removeAllListeners('error').on('error', () => {});
  stream.on('data', (part: Buffer) => {
    opened.text += part.toString();
  });
  stream.on('close', () => {
    opened.ended = true;
  });
  return opened;
}

test('maxConnections: a stream too many is ended, and there is room again when another has ended', async () => {
  const first = await open('one');
  await until('the first is served', () => first.text === 'hello');
  const second = await open('one');
  await until('the second is ended', () => second.ended);
  assert.equal(second.text, '');
  await until('it is counted', async () =>
    /ambit_streams_refused_total\{reason="UO"\} 1/.test(await program.metrics()),
  );
  first.stream.destroy();
  await until('another is served', async () => {
    const next = await open('one');
    await until('it is served or ended', () => next.text === 'hello' || next.ended);
    next.stream.destroy();
    return next.text === 'hello';
  });
});

test('idleTimeout of TCP: a stream that stands still is ended', async () => {
  const still = await open('still');
  await until('it is served', () => still.text === 'hello');
  await until('it is ended', () => still.ended);
});

test('maxConnectionDuration: a stream is ended however busy it is', async () => {
  const lasting = await open('lasting');
  const busy = setInterval(() => void lasting.stream.write('more'), 20);
  try {
    await until('it is ended', () => lasting.ended);
  } finally {
    clearInterval(busy);
  }
  await until('the end is told', async () =>
    /istio_tcp_connections_closed_total\{.*response_flags="DT"/.test(await program.metrics()),
  );
});

test('maxConnectionDuration: requests go on, by another connection than the old one', async () => {
  await until('a second connection', async () => {
    const { status } = await client.ask(`${vipOf('lasting')}:80`, { path: '/', headers: { host: 'a' } });
    assert.equal(status, 200);
    return seen.size >= 2;
  });
});
