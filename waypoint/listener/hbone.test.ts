// SPDX-License-Identifier: Apache-2.0
// The waypoint as a waypoint: tunnels in and out, each end proven by certificate, Node's own TLS and HTTP/2 as the peers.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttp, type IncomingMessage } from 'node:http';
import {
  createSecureServer,
  type Http2SecureServer,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { signingKeyFromPem } from '#lib/identity/key.ts';
import { createTestAuthority } from '#lib/identity/test-authority.ts';
import { x509 } from '#lib/identity/x509.ts';
import { type Credentials, credentialsOf, MeshClient } from '#lib/testkit/mesh-client.ts';
import { until } from '#lib/testkit/until.ts';
import { backendOf, serviceOf, WaypointProgram } from '#lib/testkit/waypoint.ts';
import { encodePem } from '#lib/wire/pem.ts';

// Addresses of this process's own on loopback, since tunnels have a fixed port.
const NET = `127.${64 + (process.pid & 63)}.${(process.pid >> 6) & 255}`;
const SERVER_IP = `${NET}.5`;
const VIP = `${NET}.80`;
const HBONE_PORT = 15008;
const FOLDER = mkdtempSync(join(tmpdir(), 'ambit-crl-'));
const CRL_FILE = join(FOLDER, 'crl.pem');

/** A list of the test authority's own that takes these certificates back, where the waypoint looks for one. */
async function revoke(chains: readonly string[]): Promise<void> {
  const { material } = await createTestAuthority();
  const { algorithm, key } = await signingKeyFromPem(material.keyPem);
  const list = await x509.X509CrlGenerator.create({
    issuer: new x509.X509Certificate(material.certificatePem).subject,
    signingKey: key,
    signingAlgorithm: algorithm,
    thisUpdate: new Date(Date.now() - 60_000),
    nextUpdate: new Date(Date.now() + 3_600_000),
    entries: chains.map((pem) => ({ serialNumber: new x509.X509Certificate(pem).serialNumber })),
  });
  writeFileSync(CRL_FILE, encodePem('X509 CRL', new Uint8Array(list.rawData)));
}

let program: WaypointProgram;
let tunnels: Http2SecureServer;
/** Who dialled the server's node, and for what. */
const arrivals: { readonly peer: string; readonly authority: string }[] = [];
const requests: IncomingMessage[] = [];
const clients: MeshClient[] = [];
const application = createHttp((request, response) => {
  requests.push(request);
  response.end(`hello from ${request.headers.host}`);
});
// Nobody closes a kept connection because a busy machine took its time.
application.keepAliveTimeout = 0;

before(async () => {
  const { ca, cert, key } = await credentialsOf('spiffe://cluster.local/ns/default/sa/app');
  tunnels = createSecureServer({ key, cert, ca, requestCert: true, minVersion: 'TLSv1.3' });
  tunnels.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    stream.on('error', () => {});
    const peer = (stream.session!.socket as TLSSocket).getPeerCertificate().subjectaltname ?? '';
    arrivals.push({ peer, authority: String(headers[':authority']) });
    stream.respond({ ':status': 200 });
    application.emit('connection', stream);
  });
  await new Promise<void>((done) => tunnels.listen(HBONE_PORT, SERVER_IP, done));
  program = await WaypointProgram.start(
    {
      services: [{ name: 'app', ports: [], vip: VIP }],
      routes: [{ rule: { backends: [backendOf('app')] } }],
      more: {
        workloads: [
          {
            uid: 'app',
            name: 'app-0',
            workloadName: 'app',
            namespace: 'default',
            serviceAccount: 'app',
            protocol: 'HBONE',
            workloadIps: [SERVER_IP],
            services: { [serviceOf('app')]: { 80: 8080 } },
          },
          { uid: 'caller', name: 'caller-0', workloadName: 'caller', namespace: 'default', workloadIps: ['127.0.0.1'] },
        ],
        accessPolicies: [
          {
            name: 'default/no-mallory',
            action: 'ACTION_DENY',
            rules: [
              {
                clauses: [
                  { matches: [{ connection: { principals: [{ exact: 'cluster.local/ns/default/sa/mallory' }] } }] },
                ],
              },
            ],
          },
        ],
      },
      settings: { forwardClientIdentity: true, trustDomainAliases: ['old.example'] },
    },
    { FAKE_CA: 'true', POD_NAMESPACE: 'default', SERVICE_ACCOUNT: 'waypoint', CRL_PATH: CRL_FILE },
  );
});
after(async () => {
  for (const client of clients) client.close();
  rmSync(FOLDER, { recursive: true, force: true });
  await program?.stop();
  tunnels?.close();
  application.closeAllConnections();
});

/** A tunnel to the waypoint as that identity. */
async function tunnelAs(uri: string, credentials?: Credentials): Promise<MeshClient> {
  const client = await MeshClient.as(uri, program.port('mesh'), credentials);
  assert.match(client.peer, /spiffe:\/\/cluster\.local\/ns\/default\/sa\/waypoint/);
  clients.push(client);
  return client;
}

async function get(client: MeshClient, path: string): Promise<{ status: number; body: string }> {
  const { body, status } = await client.ask(`${VIP}:80`, { path, headers: { host: 'shop' } });
  return { status, body: body.toString() };
}

test('a request comes by a tunnel and leaves by another, each with its own identity', async () => {
  const session = await tunnelAs('spiffe://cluster.local/ns/default/sa/client');
  assert.deepEqual(await get(session, '/in-and-out'), { status: 200, body: 'hello from shop' });
  const arrival = arrivals.at(-1)!;
  assert.match(arrival.peer, /spiffe:\/\/cluster\.local\/ns\/default\/sa\/waypoint/);
  assert.equal(arrival.authority, `${SERVER_IP}:8080`);
  assert.equal(
    requests.at(-1)!.headers['x-forwarded-client-cert'],
    'By=spiffe://cluster.local/ns/default/sa/waypoint;URI=spiffe://cluster.local/ns/default/sa/client',
  );
  const record = await program.record('/in-and-out');
  assert.equal(record['src.identity'], 'spiffe://cluster.local/ns/default/sa/client');
  const metrics = await until('it is counted', async () => {
    const text = await program.metrics();
    return text.includes('istio_requests_total') && text;
  });
  assert.match(
    metrics,
    /istio_requests_total\{reporter="waypoint",source_workload="caller".*source_principal="spiffe:\/\/cluster\.local\/ns\/default\/sa\/client".*destination_workload="app",.*destination_principal="spiffe:\/\/cluster\.local\/ns\/default\/sa\/app".*connection_security_policy="mutual_tls"\} 1/,
  );
});

test('metrics carry all of Istio’s labels, in its order, with both ends of the request', async () => {
  const session = await tunnelAs('spiffe://cluster.local/ns/default/sa/client');
  await get(session, '/labels');
  const line = await until('the count', async () =>
    (await program.metrics()).split('\n').find((one) => /^istio_requests_total\{.*source_workload="caller"/.test(one)),
  );
  const labels = [...line.matchAll(/(\w+)="([^"]*)"/g)].map(([, name, value]) => [name, value]);
  const hosts = { destination_service: 'app.default.svc.cluster.local', destination_service_name: 'app' };
  assert.deepEqual(labels, [
    ['reporter', 'waypoint'],
    ['source_workload', 'caller'],
    ['source_canonical_service', 'caller-0'],
    ['source_canonical_revision', 'latest'],
    ['source_workload_namespace', 'default'],
    ['source_principal', 'spiffe://cluster.local/ns/default/sa/client'],
    ['source_app', 'caller-0'],
    ['source_version', 'unknown'],
    ['source_cluster', 'Kubernetes'],
    ['destination_workload', 'app'],
    ['destination_workload_namespace', 'default'],
    ['destination_principal', 'spiffe://cluster.local/ns/default/sa/app'],
    ['destination_app', 'app-0'],
    ['destination_version', 'unknown'],
    ['destination_canonical_service', 'app-0'],
    ['destination_canonical_revision', 'latest'],
    ['destination_cluster', 'Kubernetes'],
    ...Object.entries(hosts),
    ['destination_service_namespace', 'default'],
    ['request_protocol', 'http'],
    ['response_code', '200'],
    ['grpc_response_status', ''],
    ['response_flags', '-'],
    ['connection_security_policy', 'mutual_tls'],
  ]);
  const metrics = await program.metrics();
  for (const name of ['istio_request_duration_milliseconds', 'istio_request_bytes', 'istio_response_bytes']) {
    assert.match(metrics, new RegExp(`^${name}_count\\{reporter="waypoint",source_workload="caller"`, 'm'));
  }
});

test('what is addressed to a pod itself goes to that pod and port, without routes, and policies of all hold', async () => {
  const session = await tunnelAs('spiffe://cluster.local/ns/default/sa/client');
  const [before, path] = [arrivals.length, '/to-the-pod'];
  const answer = await session.ask(`${SERVER_IP}:9090`, { path, headers: { host: 'whatever' } });
  assert.equal(answer.body.toString(), 'hello from whatever');
  assert.deepEqual(
    arrivals.slice(before).map(({ authority }) => authority),
    [`${SERVER_IP}:9090`],
  );
  const mallory = await tunnelAs('spiffe://cluster.local/ns/default/sa/mallory');
  assert.equal((await mallory.ask(`${SERVER_IP}:9090`, { path, headers: { host: 'whatever' } })).status, 403);
});

test('many connections share one tunnel, and those to the server another', async () => {
  const session = await tunnelAs('spiffe://cluster.local/ns/default/sa/client');
  const before = arrivals.length;
  const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => get(session, `/many/${i}`)));
  assert.ok(answers.every(({ status }) => status === 200));
  assert.ok(arrivals.length - before <= 20);
  assert.equal(new Set(requests.slice(-20).map(({ url }) => url)).size, 20);
});

test('a policy judges by the identity of the tunnel, whatever headers say', async () => {
  const session = await tunnelAs('spiffe://cluster.local/ns/default/sa/mallory');
  const before = requests.length;
  assert.deepEqual(await get(session, '/as-mallory'), { status: 403, body: 'RBAC: access denied' });
  assert.equal(requests.length, before);
  assert.equal((await program.record('/as-mallory'))['policy'], 'default/no-mallory');
});

test('an address that is nobody’s, and an authority that is none, are refused', async () => {
  const session = await tunnelAs('spiffe://cluster.local/ns/default/sa/client');
  assert.equal(await session.open('192.0.2.1:80'), 404);
  assert.equal(await session.open('a b:80').catch(() => 400), 400);
});

test('a client of another trust domain gets no tunnel', async () => {
  const socket = connectTls({
    port: program.port('mesh'),
    host: '127.0.0.1',
    ALPNProtocols: ['h2'],
    checkServerIdentity: () => undefined,
    ...(await credentialsOf('spiffe://elsewhere/ns/default/sa/client')),
  });
  await new Promise((resolve) => socket.once('close', resolve).on('error', () => {}));
});

test('a client of a trust domain that is an alias of the own one gets a tunnel, under its own name', async () => {
  const uri = 'spiffe://old.example/ns/default/sa/client';
  const session = await tunnelAs(uri);
  assert.equal((await get(session, '/of-old')).status, 200);
  assert.equal((await program.record('/of-old'))['src.identity'], uri);
});

test('a client whose certificate is taken back loses its tunnel and gets no other, and nobody else does', async () => {
  const [lost, kept] = ['lost', 'kept'].map((name) => `spiffe://cluster.local/ns/default/sa/${name}`);
  const credentials = await credentialsOf(lost!);
  const [session, other] = [await tunnelAs(lost!, credentials), await tunnelAs(kept!)];
  for (const one of [session, other]) assert.equal((await get(one, '/before')).status, 200);
  await revoke([credentials.cert]);
  await until('the tunnel has ended', () => session.ended);
  assert.equal((await get(other, '/after')).status, 200);
  const again = await tunnelAs(lost!, credentials);
  await until('the next one is refused', () => again.ended);
  await until('both are counted', async () =>
    /istio_crl_policy_rejections_total\{reporter="destination"\} 2/.test(await program.metrics()),
  );
});

test('when it ends, what is under way is finished, and nothing new is taken', async () => {
  const slow = createHttp((_request, response) => {
    setTimeout(() => response.end('late'), 400);
  });
  await new Promise<void>((done) => slow.listen(0, '0.0.0.0', done));
  const { port } = slow.address() as { port: number };
  await using other = await WaypointProgram.start({
    services: [{ name: 'slow', ports: [port] }],
    routes: [{ rule: { backends: [backendOf('slow')] } }],
  });
  const answer = fetch(other.url('/last'));
  await until(
    'the request to be under way',
    () =>
      other.pid > 0 && new Promise<boolean>((resolve) => slow.getConnections((_error, count) => resolve(count > 0))),
  );
  const ended = other.end();
  assert.equal(await (await answer).text(), 'late');
  assert.equal(await ended, 0);
  await assert.rejects(fetch(other.url()));
  slow.close();
});
