// SPDX-License-Identifier: Apache-2.0
// Services outside the mesh whose endpoints have host names: requests and streams to wherever the names lead.
import assert from 'node:assert/strict';
import { createServer, request, type Server } from 'node:http';
import { after, before, test } from 'node:test';
import { DnsUpstream } from '#lib/testkit/dns-upstream.ts';
import { listenAlike } from '#lib/testkit/listen.ts';
import { until } from '#lib/testkit/until.ts';
import { backendOf, serviceOf, WaypointProgram } from '#lib/testkit/waypoint.ts';

let dns: DnsUpstream;
let program: WaypointProgram;
/** The same port on addresses of its own: whichever is dialled says which it is. */
const servers: Server[] = [];
/** Of this process, so that nobody else is at another of its ports. */
const NET = `127.${128 + (process.pid & 63)}.${(process.pid >> 6) & 255}`;
const IPS = [`${NET}.1`, `${NET}.2`, `${NET}.3`];
const NOBODY = `${NET}.9`;
const NAMES = ['one', 'many', 'gone', 'mute', 'moving', 'half'];

function serve(ip: string): Server {
  const server = createServer((_request, response) => {
    response.end(ip);
  });
  servers.push(server);
  return server;
}

function leads(name: string, ips: readonly string[], ttl = 60): void {
  dns.names.set(
    `${name}.example`,
    ips.map((data) => ({ type: 'A', name: `${name}.example`, ttl, data })),
  );
}

before(async () => {
  dns = await DnsUpstream.start();
  const port = await listenAlike(IPS, serve);
  leads('one', [`${NET}.1`]);
  leads('many', IPS);
  leads('moving', [`${NET}.2`], 1);
  leads('half', [NOBODY, `${NET}.3`]);
  program = await WaypointProgram.start(
    {
      services: [],
      routes: [
        ...NAMES.map((name) => ({
          match: { path: { kind: 'KIND_SEGMENTS', value: `/${name}` } },
          rule: { backends: [backendOf(name)] },
        })),
        { rule: { backends: [backendOf('wild', 1, { service: 'default/*.wild.example' })] } },
      ],
      more: {
        services: [
          ...NAMES.map((name) => ({
            name,
            namespace: 'default',
            hostname: `${name}.default.svc.cluster.local`,
            ports: { 80: 0 },
          })),
          { name: 'wild', namespace: 'default', hostname: '*.wild.example', ports: { 80: port } },
        ],
        workloads: NAMES.map((name) => ({
          uid: name,
          name,
          namespace: 'default',
          hostname: `${name}.example`,
          services: { [serviceOf(name)]: { 80: port } },
        })),
      },
    },
    { AMBIT_RESOLVERS: dns.endpoint },
  );
});
after(async () => {
  await program?.stop();
  await dns?.[Symbol.asyncDispose]();
  for (const server of servers) server.close().closeAllConnections();
});

async function get(path: string): Promise<string> {
  const answer = await fetch(program.url(path));
  return `${answer.status} ${await answer.text()}`;
}

test('the first request waits for the address of an endpoint that has a name only', async () => {
  assert.equal(await get('/one/first'), `200 ${NET}.1`);
  // A busy machine may have asked twice before the answer was there.
  assert.deepEqual([...new Set(dns.asked)].sort(), ['one.example A udp', 'one.example AAAA udp']);
  const asked = dns.asked.length;
  assert.equal(await get('/one/again'), `200 ${NET}.1`);
  assert.equal(dns.asked.length, asked, 'the answer is kept');
});

test('all addresses of a name take their part', async () => {
  const seen = new Set<string>();
  await until('each has answered', async () => {
    seen.add(await get('/many'));
    return seen.size === 3;
  });
  assert.deepEqual(
    [...seen].sort(),
    IPS.map((ip) => `200 ${ip}`),
  );
});

test('of several addresses one that refuses is passed over', async () => {
  for (let i = 0; i < 10; i++) assert.equal(await get('/half'), `200 ${NET}.3`);
});

test('whatever host is under a wildcard is served where its name leads, any other is not', async () => {
  const ask = (host: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const asked = request(program.url(`/of/${host}`), { headers: { host } }, (answer) => {
        let content = `${answer.statusCode} `;
        answer.setEncoding('utf8').on('data', (part: string) => {
          content += part;
        });
        answer.on('end', () => resolve(content));
      });
      asked.on('error', reject).end();
    });
  leads('a.wild', [`${NET}.1`]);
  leads('b.c.wild', [`${NET}.2`]);
  assert.equal(await ask('a.wild.example'), `200 ${NET}.1`);
  assert.equal(await ask('B.c.wild.example:8080'), `200 ${NET}.2`);
  assert.match(await ask('no.wild.example'), /^503 .*host name no\.wild\.example has no address/);
  for (const other of ['wild.example', 'one.example', 'awild.example', '127.0.0.1']) {
    assert.equal(await ask(other), '404 ', other);
  }
  assert.equal((await program.record('/of/one.example'))['response_flags'], 'NR');
});

test('a name that does not exist, and resolvers that cannot tell, are told in answer and log', async () => {
  assert.match(await get('/gone/a'), /^503 .*host name gone\.example has no address/);
  const record = await program.record('/gone/a');
  assert.equal(record['response_flags'], 'UF,URX');
  assert.match(String(record['upstream_transport_failure_reason']), /host name gone\.example has no address/);
  dns.fails = true;
  try {
    assert.match(await get('/mute/a'), /^503 .*no resolver could tell the address of mute\.example/);
  } finally {
    dns.fails = false;
  }
});

test('a service follows its name to other addresses', async () => {
  assert.equal(await get('/moving'), `200 ${NET}.2`);
  leads('moving', [`${NET}.3`], 1);
  await until('it has followed', async () => (await get('/moving')) === `200 ${NET}.3`);
});
