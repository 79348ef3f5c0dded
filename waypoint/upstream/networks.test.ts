// SPDX-License-Identifier: Apache-2.0
// A service with endpoints on another network: the waypoint reaches them through that network's gateway, by a tunnel in a tunnel.
// Gateway and far end are Node's own TLS and HTTP/2.
import assert from 'node:assert/strict';
import { createServer as createHttp } from 'node:http';
import {
  createSecureServer,
  type Http2SecureServer,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import { connect as dialTcp, type Socket } from 'node:net';
import { after, before, beforeEach, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { listenAnywhere } from '#lib/testkit/listen.ts';
import { credentialsOf } from '#lib/testkit/mesh-client.ts';
import { until } from '#lib/testkit/until.ts';
import { backendOf, serviceOf, WaypointProgram } from '#lib/testkit/waypoint.ts';

// Addresses of this process's own on loopback, since tunnels have a fixed port.
const NET = `127.${64 + (process.pid & 63)}.${(process.pid >> 6) & 255}`;
const GATEWAY_IP = `${NET}.15`;
const HBONE_PORT = 15008;
const FAR_ID = 'spiffe://cluster.local/ns/default/sa/far-app';
const WAYPOINT_ID = 'spiffe://cluster.local/ns/default/sa/waypoint';

interface Arrival {
  readonly peer: string;
  readonly headers: IncomingHttpHeaders;
}

let program: WaypointProgram;
let gateway: Http2SecureServer;
let farEnd: Http2SecureServer;
/** CONNECTs at the gateway, and at the far end. */
const outer: Arrival[] = [];
const inner: Arrival[] = [];
/** What the far end answers CONNECT with. */
let answer = 200;
/** Of the gateway to the far end. */
const carriers: Socket[] = [];
const application = createHttp((request, response) => {
  let content = '';
  request.setEncoding('utf8').on('data', (part: string) => {
    content += part;
  });
  request.on('end', () => response.end(`far ${request.url} ${content.length}`));
});
// Nobody closes a kept connection because a busy machine took its time.
application.keepAliveTimeout = 0;

function peerOf(socket: unknown): string {
  return (socket as TLSSocket).getPeerCertificate().subjectaltname ?? '';
}

before(async () => {
  farEnd = createSecureServer({ ...(await credentialsOf(FAR_ID)), requestCert: true, minVersion: 'TLSv1.3' });
  farEnd.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    stream.on('error', () => {});
    inner.push({ peer: peerOf(stream.session!.socket), headers });
    stream.respond({ ':status': answer }, { endStream: answer !== 200 });
    if (answer === 200) application.emit('connection', stream);
  });
  const farPort = await listenAnywhere(farEnd);
  gateway = createSecureServer({
    ...(await credentialsOf('spiffe://cluster.local/ns/gates/sa/east-west')),
    requestCert: true,
    minVersion: 'TLSv1.3',
  });
  gateway.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    stream.on('error', () => {});
    outer.push({ peer: peerOf(stream.session!.socket), headers });
    stream.respond({ ':status': 200 });
    const carrier = dialTcp(farPort, '127.0.0.1');
    carriers.push(carrier);
    carrier.on('error', () => stream.close());
    stream.on('close', () => carrier.destroy());
    stream.pipe(carrier).pipe(stream);
  });
  await new Promise<void>((done) => gateway.listen(HBONE_PORT, GATEWAY_IP, done));
  const names = ['far', 'unnamed', 'astray'];
  program = await WaypointProgram.start(
    {
      services: [],
      routes: names.map((name) => ({
        match: { path: { kind: 'KIND_SEGMENTS', value: `/${name}` } },
        rule: { backends: [backendOf(name)], retry: { attempts: 0 } },
      })),
      more: {
        services: names.map((name) => ({
          name,
          namespace: 'default',
          hostname: `${name}.default.svc.cluster.local`,
          ports: { 80: 8080 },
          subjectAltNames: name === 'unnamed' ? [] : [FAR_ID],
        })),
        workloads: [
          {
            uid: 'gate',
            name: 'gate',
            namespace: 'gates',
            serviceAccount: 'east-west',
            network: 'there',
            workloadIps: [GATEWAY_IP],
          },
          ...names.map((name) => ({
            uid: name,
            name,
            namespace: 'default',
            network: name === 'astray' ? 'nowhere' : 'there',
            protocol: 'HBONE',
            networkGateway: {
              destination: name === 'astray' ? 'nowhere/192.0.2.1' : `there/${GATEWAY_IP}`,
              hboneMtlsPort: HBONE_PORT,
            },
            services: { [serviceOf(name)]: { 80: 8080 } },
          })),
        ],
      },
    },
    { FAKE_CA: 'true', POD_NAMESPACE: 'default', SERVICE_ACCOUNT: 'waypoint', NETWORK: 'here' },
  );
});
beforeEach(() => {
  outer.length = inner.length = 0;
  answer = 200;
});
after(async () => {
  await program?.stop();
  for (const carrier of carriers) carrier.destroy();
  gateway?.close();
  farEnd?.close();
  application.closeAllConnections();
});

/** How often they were asked for the service. A connection made for a request that another one served arrives after that request's end. */
function asked(name: string): number[] {
  const authority = `${name}.default.svc.cluster.local:80`;
  return [outer, inner].map((arrivals) => arrivals.filter(({ headers }) => headers[':authority'] === authority).length);
}

async function post(path: string, content = ''): Promise<string> {
  const response = await fetch(program.url(path), { method: 'POST', body: content });
  return `${response.status} ${await response.text()}`;
}

test('a request to another network is a tunnel in a tunnel, and its gateway sees neither it nor who asks', async () => {
  assert.equal(await post('/far/a', 'x'.repeat(200_000)), '200 far /far/a 200000');
  const [outside, inside] = [outer[0]!, inner[0]!];
  assert.equal(outside.headers[':authority'], 'far.default.svc.cluster.local:80');
  assert.equal(outside.headers['x-istio-source'], 'waypoint');
  assert.equal(outside.headers['x-forwarded-network'], undefined);
  assert.equal(inside.headers[':authority'], 'far.default.svc.cluster.local:80');
  assert.equal(inside.headers['x-forwarded-network'], 'here');
  assert.equal(inside.headers['x-istio-source'], undefined);
  assert.deepEqual([outside.peer, inside.peer], [`URI:${WAYPOINT_ID}`, `URI:${WAYPOINT_ID}`]);
  const record = await program.record('/far/a');
  assert.equal(record['upstream_host'], 'far.default.svc.cluster.local:80');
});

test('the gateway’s tunnel is shared, the one inside is a connection’s own and is kept as long as it', async () => {
  await post('/far/b');
  const before = { outer: outer.length, inner: inner.length };
  await post('/far/c');
  assert.deepEqual([before.outer, before.inner], [outer.length, inner.length], 'a kept connection serves again');
  const sessions = carriers.length;
  await Promise.all(Array.from({ length: 5 }, (_, i) => post(`/far/many/${i}`)));
  assert.equal(carriers.length - sessions, outer.length - before.outer);
  assert.ok(outer.length - before.outer <= 5);
});

test('only subject names of the service are accepted at the far end', async () => {
  assert.match(await post('/unnamed'), /^503 .*no subject name of the service/);
  assert.deepEqual(asked('unnamed'), [1, 0]);
});

test('a far end that refuses, and a network without a gateway, are told', async () => {
  assert.match(await post('/astray'), /^503 .*unknown network gateway/);
  answer = 503;
  await until('kept connections are used up', async () => {
    const got = await Promise.all(Array.from({ length: 10 }, (_, i) => post(`/far/refused/${i}`)));
    return got.some((text) => /^503 .*peer answered CONNECT with 503/.test(text));
  });
});
