// SPDX-License-Identifier: Apache-2.0
// TLS to servers, seen from them and from clients: whom the proxy believes, what it shows, and why a request fails.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { createSecureServer, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import { createServer as createHttps } from 'node:https';
import type { Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createServer as createTls, type SecureContextOptions, type TLSSocket, type TlsOptions } from 'node:tls';
import { createTestCa } from '#lib/testkit/certificates.ts';
import { listenAnywhere } from '#lib/testkit/listen.ts';
import { RawClient } from '#lib/testkit/raw-http.ts';
import { backendOf, serviceOf, WaypointProgram } from '#lib/testkit/waypoint.ts';

const NAME = 'server.example';
const dns = (value: string) => [{ type: 'dns' as const, value }];
const base64 = (text: string): string => Buffer.from(text).toString('base64');
const folder = mkdtempSync(join(tmpdir(), 'ambit-roots-'));
const servers: Server[] = [];
const sockets = new Set<Socket>();
let program: WaypointProgram;
/** Connections that the server of that name has accepted. */
const connections = new Map<string, number>();

function listen(name: string, server: Server): Promise<number> {
  servers.push(server);
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    connections.set(name, (connections.get(name) ?? 0) + 1);
  });
  return listenAnywhere(server);
}

interface Seen {
  readonly serverName: string;
  readonly version: string;
  readonly client: string;
  readonly protocol: string;
  readonly body: string;
}

/** Answers with what it saw of connection and request. */
function https(options: TlsOptions): Server {
  return createHttps(options, (request, response) => {
    const socket = request.socket as TLSSocket & { servername?: string };
    let body = '';
    request.setEncoding('utf8').on('data', (part: string) => {
      body += part;
    });
    request.on('end', () => {
      const seen: Seen = {
        serverName: String(socket.servername),
        version: socket.getProtocol() ?? '',
        client: socket.authorized ? 'proven' : '',
        protocol: request.httpVersion,
        body: body.length > 100 ? `${body.length} octets` : body,
      };
      response.end(JSON.stringify(seen));
    });
  }) as unknown as Server;
}

before(async () => {
  const ca = await createTestCa('good');
  const stranger = await createTestCa('stranger');
  const own = async (by = ca, name = NAME): Promise<SecureContextOptions> => {
    const { chainPem, keyPem } = await by.issue(dns(name));
    return { cert: chainPem, key: keyPem };
  };
  const good = await own();
  const client = await ca.issue(dns('client.example'));
  const below = await (await ca.intermediate()).issue(dns('*.wild.example'));
  const byUri = await ca.issue([{ type: 'url', value: 'spiffe://far/ns/a/sa/b' }]);
  const late = await ca.issue(dns(NAME), { notAfter: new Date(Date.now() - 1000) });
  const revoked = await ca.issue(dns(NAME));
  writeFileSync(join(folder, 'roots.pem'), ca.rootPem);
  const h2 = createSecureServer(good);
  h2.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    stream.respond({ ':status': 200 });
    stream.end(JSON.stringify({ scheme: headers[':scheme'], protocol: '2' }));
  });
  const greeter = createTls(good, (socket) =>
    socket.end(`hello ${String((socket as { servername?: string }).servername)}\n`),
  );
  const ports: Record<string, number> = {
    plain: await listen('plain', https(good)),
    old: await listen('old', https({ ...good, maxVersion: 'TLSv1.2' })),
    h2: await listen('h2', h2 as unknown as Server),
    other: await listen('other', https(await own(ca, 'other.example'))),
    strange: await listen('strange', https(await own(stranger))),
    wild: await listen('wild', https({ cert: below.chainPem, key: below.keyPem })),
    uri: await listen('uri', https({ cert: byUri.chainPem, key: byUri.keyPem })),
    late: await listen('late', https({ cert: late.chainPem, key: late.keyPem })),
    revoked: await listen('revoked', https({ cert: revoked.chainPem, key: revoked.keyPem })),
    mutual: await listen('mutual', https({ ...good, ca: ca.rootPem, requestCert: true, rejectUnauthorized: true })),
    greeter: await listen('greeter', greeter),
  };
  const roots = { caCertificates: base64(ca.rootPem) };
  const simple = { sni: NAME, ...roots };
  const tls: Record<string, [server: string, tls: object]> = {
    plain: ['plain', simple],
    old: ['old', simple],
    h2: ['h2', simple],
    other: ['other', simple],
    strange: ['strange', simple],
    late: ['late', simple],
    revoked: ['revoked', { ...simple, crl: base64(await ca.revoke([revoked.chainPem])) }],
    unrevoked: ['plain', { ...simple, crl: base64(await ca.revoke([revoked.chainPem])) }],
    wild: ['wild', { ...simple, sni: 'a.wild.example' }],
    deeper: ['wild', { ...simple, sni: 'a.b.wild.example' }],
    names: ['other', { ...simple, subjectAltNames: ['no.example', 'OTHER.example'] }],
    uri: ['uri', { ...simple, subjectAltNames: ['spiffe://far/ns/a/sa/b'] }],
    skip: ['strange', { sni: NAME, insecureSkipVerify: true }],
    system: ['plain', { sni: NAME, systemRoots: true }],
    nameless: ['plain', roots],
    mutual: [
      'mutual',
      { ...simple, mode: 'MODE_MUTUAL', clientCertificate: base64(client.chainPem), privateKey: base64(client.keyPem) },
    ],
    anonymous: ['mutual', simple],
    invalid: ['plain', { ...simple, invalid: 'Secret shop/gone does not exist' }],
    broken: ['plain', { sni: NAME, caCertificates: base64('nothing') }],
    greeter: ['greeter', simple],
  };
  const names = Object.keys(tls);
  program = await WaypointProgram.start(
    {
      services: names.map((name) => ({ name, ports: [ports[tls[name]![0]]!] })),
      routes: names.map((name) => ({
        match: { path: { kind: 'KIND_SEGMENTS', value: `/${name}` } },
        rule: { backends: [backendOf(name)], retry: { attempts: 0 } },
      })),
      stream: 'greeter',
      more: {
        trafficPolicies: names.map((name) => ({
          name: serviceOf(name),
          origin: `DestinationRule t/${name}`,
          upstreams: [
            {
              tls: tls[name]![1],
              ...(name === 'h2' && {
                pool: {
                  h2Upgrade: 'UPGRADE_ALWAYS',
                  maxConnections: 100,
                  maxPendingRequests: 100,
                  maxRequests: 100,
                  maxRetries: 3,
                  connectTimeoutMs: 60_000,
                  httpIdleTimeoutMs: 60_000,
                },
              }),
            },
          ],
        })),
      },
    },
    { SSL_CERT_FILE: join(folder, 'roots.pem') },
  );
});
after(async () => {
  await program?.stop();
  for (const socket of sockets) socket.destroy();
  for (const server of servers) server.close();
  rmSync(folder, { recursive: true, force: true });
});

function ask(path: string, body = ''): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(program.url(path), { method: body === '' ? 'GET' : 'POST', agent: false }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body: text }));
    });
    request.on('error', reject).end(body);
  });
}

async function seen(path: string, body = ''): Promise<Seen> {
  const answer = await ask(path, body);
  assert.equal(answer.status, 200, `${path}: ${answer.body}`);
  return JSON.parse(answer.body) as Seen;
}

test('requests go by TLS with the server’s name, on connections that are kept', async () => {
  for (let i = 0; i < 5; i++) {
    const { client, serverName, version } = await seen('/plain');
    assert.deepEqual([serverName, version, client], [NAME, 'TLSv1.3', '']);
  }
  assert.equal(connections.get('plain'), 1);
  assert.equal((await seen('/plain', 'z'.repeat(2_000_000))).body, '2000000 octets');
});

test('TLS 1.2 is spoken with servers that know nothing newer, HTTP/2 by ALPN', async () => {
  assert.equal((await seen('/old', 'z'.repeat(300_000))).version, 'TLSv1.2');
  assert.deepEqual(JSON.parse((await ask('/h2')).body), { scheme: 'https', protocol: '2' });
});

test('a server is believed by the names that were asked for: a whole name, one label for a star, a URI', async () => {
  for (const path of ['/wild', '/names', '/uri', '/unrevoked', '/system', '/skip']) await seen(path);
});

test('a client certificate is shown where one is to be', async () => {
  assert.equal((await seen('/mutual')).client, 'proven');
  assert.equal((await ask('/anonymous')).status, 503);
});

const REFUSED: readonly (readonly [string, RegExp])[] = [
  ['/other', /certificate is for other\.example, expected server\.example/],
  ['/deeper', /certificate is for \*\.wild\.example, expected a\.b\.wild\.example/],
  ['/strange', /unable to get (local )?issuer certificate|self.signed/],
  ['/late', /certificate has expired/],
  ['/revoked', /certificate was revoked/],
  ['/nameless', /neither sni nor subjectAltNames/],
  ['/invalid', /Secret shop\/gone does not exist/],
  ['/broken', /trust bundle holds no CERTIFICATE block/],
];
for (const [path, reason] of REFUSED) {
  test(`no request reaches a server that is not proven: ${path.slice(1)}`, async () => {
    const answer = await ask(path);
    assert.equal(answer.status, 503);
    assert.match(answer.body, reason);
    const record = await program.record(path);
    assert.equal(record['response_flags'], 'UF');
    assert.match(String(record['upstream_transport_failure_reason']), reason);
  });
}

test('a stream that is no HTTP is carried by TLS, too', async () => {
  const client = await RawClient.connect(program.port('mesh'));
  await client.sees(/^hello server\.example\n$/);
  client.socket.destroy();
});
