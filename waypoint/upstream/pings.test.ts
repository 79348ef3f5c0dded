// SPDX-License-Identifier: Apache-2.0
// How a DestinationRule's http2KeepAlive finds a silent server dead, seen from servers that answer PINGs and that do not.
import assert from 'node:assert/strict';
import { createServer as createH2, type Http2Session } from 'node:http2';
import { createServer, type Server, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { listenAnywhere } from '#lib/testkit/listen.ts';
import { until } from '#lib/testkit/until.ts';
import { POOL, serviceOf, WaypointProgram } from '#lib/testkit/waypoint.ts';

const SETTINGS = Buffer.from('000000040000000000', 'hex');
const SETTINGS_ACK = Buffer.from('000000040100000000', 'hex');
/** A machine under load may answer late. */
const KEEPALIVES = { lively: { timeMs: 200, intervalMs: 60_000 }, mute: { timeMs: 200, intervalMs: 200 } } as const;

let program: WaypointProgram;
const sockets = new Set<Socket>();
const sessions = new Set<Http2Session>();
let pings = 0;
const lively = createH2((_request, response) => response.end('ok'));
lively.on('session', (session: Http2Session) => {
  sessions.add(session);
  session.on('ping', () => pings++);
});
/** Speaks HTTP/2 as far as SETTINGS, and never another word. */
const mute = createServer((socket) => {
  sockets.add(socket);
  socket.on('error', () => {}).resume();
  socket.write(Buffer.concat([SETTINGS, SETTINGS_ACK]));
});

before(async () => {
  const services = [
    { name: 'lively', ports: [await listenAnywhere(lively as unknown as Server)] },
    { name: 'mute', ports: [await listenAnywhere(mute)] },
  ];
  const route = (name: string): object => ({
    match: { path: { kind: 'KIND_SEGMENTS', value: `/${name}` } },
    rule: { backends: [{ weight: 1, target: { service: serviceOf(name), port: 80 } }] },
  });
  program = await WaypointProgram.start({
    services,
    routes: services.map(({ name }) => route(name)) as never,
    more: {
      trafficPolicies: Object.entries(KEEPALIVES).map(([name, h2Keepalive]) => ({
        name: serviceOf(name),
        upstreams: [{ pool: { ...POOL, h2Upgrade: 'UPGRADE_ALWAYS', h2Keepalive } }],
      })),
    },
  });
});
after(async () => {
  await program?.stop();
  for (const session of sessions) session.destroy();
  for (const socket of sockets) socket.destroy();
  lively.close();
  mute.close();
});

test('http2KeepAlive: a server is asked as often as the rule says', async () => {
  const answer = await fetch(program.url('/lively'));
  assert.equal(await answer.text(), 'ok');
  // By default one comes every 10 s, which were not as many in the time that is waited.
  await until('PINGs to come', () => pings >= 8);
  assert.equal(sessions.size, 1);
});

test('http2KeepAlive: a server that does not answer in time is given up', async () => {
  // By default the first of three tries would be over after 30 s.
  const answer = await fetch(program.url('/mute'), { signal: AbortSignal.timeout(60_000) });
  assert.equal(answer.status, 503);
});
