// SPDX-License-Identifier: Apache-2.0
// The PROXY protocol, seen from servers: what comes first on their connections, and whose requests follow.
import assert from 'node:assert/strict';
import { Agent, request as httpRequest } from 'node:http';
import { createServer, type Server, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { listenAnywhere } from '#lib/testkit/listen.ts';
import { RawClient } from '#lib/testkit/raw-http.ts';
import { until } from '#lib/testkit/until.ts';
import { backendOf, serviceOf, WaypointProgram } from '#lib/testkit/waypoint.ts';
import { parseProxyV2 } from '#lib/wire/proxy-v2.ts';
import { proxyHeader } from './proxy-header.ts';

/** Everything that each connection brought. */
const heard = new Map<string, Buffer[]>();
const sockets = new Set<Socket>();
const servers: Server[] = [];
let program: WaypointProgram;

/** Answers each head with 200; keeps what it hears. */
function server(name: string): Promise<number> {
  const list: Buffer[] = [];
  heard.set(name, list);
  const one = createServer((socket) => {
    const at = list.push(Buffer.alloc(0)) - 1;
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('data', (bytes: Buffer) => {
      list[at] = Buffer.concat([list[at]!, bytes]);
      if (bytes.includes('\r\n\r\n')) socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
    });
  });
  servers.push(one);
  return listenAnywhere(one);
}

before(async () => {
  const [one, two, stream] = [await server('one'), await server('two'), await server('stream')];
  program = await WaypointProgram.start({
    services: [
      { name: 'one', ports: [one] },
      { name: 'two', ports: [two] },
      { name: 'stream', ports: [stream] },
    ],
    routes: ['one', 'two'].map((name) => ({
      match: { path: { kind: 'KIND_SEGMENTS', value: `/${name}` } },
      rule: { backends: [backendOf(name)] },
    })),
    stream: 'stream',
    more: {
      trafficPolicies: [
        { name: serviceOf('one'), origin: 'DestinationRule t/one', upstreams: [{ proxyProtocol: 1 }] },
        { name: serviceOf('two'), origin: 'DestinationRule t/two', upstreams: [{ proxyProtocol: 2 }] },
        { name: serviceOf('stream'), origin: 'DestinationRule t/s', upstreams: [{ proxyProtocol: 2 }] },
      ],
    },
  });
});
after(async () => {
  await program?.stop();
  for (const socket of sockets) socket.destroy();
  for (const one of servers) one.close();
});

/** The port that the client had. */
function ask(path: string, agent: Agent): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(program.url(path), { agent }, (answer) => {
      const { localPort = 0 } = request.socket ?? {};
      answer.resume().on('end', () => resolve(localPort));
    });
    request.on('error', reject).end();
  });
}

test('a connection tells of its client first, and carries no other’s requests', async () => {
  const agents = [new Agent({ keepAlive: true, maxSockets: 1 }), new Agent({ keepAlive: true, maxSockets: 1 })];
  const ports = new Set<number>();
  for (const agent of [...agents, ...agents]) ports.add(await ask('/one', agent));
  for (const agent of agents) agent.destroy();
  const told = heard.get('one')!.map((bytes) => bytes.toString('latin1'));
  assert.equal(told.length, 2);
  const known = told.map((text) => {
    const [, port] = /^PROXY TCP4 127\.0\.0\.1 127\.0\.0\.1 (\d+) \d+\r\nGET \/one HTTP\/1\.1\r\n/.exec(text) ?? [];
    assert.equal(text.split('GET /one').length, 3, text);
    return Number(port);
  });
  assert.deepEqual(known.sort(), [...ports].sort());
});

test('version 2 is written for requests and for streams', async () => {
  const agent = new Agent();
  await ask('/two', agent);
  const got = parseProxyV2(heard.get('two')![0]!);
  assert.ok(got.kind === 'header');
  assert.equal(got.header.addresses?.source.ip, '127.0.0.1');
  assert.match(heard.get('two')![0]!.subarray(got.length).toString('latin1'), /^GET \/two /);
  const client = await RawClient.connect(program.port('mesh'));
  client.sendRaw('hello\n');
  await until('the stream is there', () => heard.get('stream')?.[0]?.includes('hello\n') === true);
  const first = parseProxyV2(heard.get('stream')![0]!);
  assert.ok(first.kind === 'header');
  assert.equal(first.header.addresses?.source.port, client.socket.localPort);
  client.socket.destroy();
});

test('what the proxy asks by itself has no client to tell of', () => {
  assert.equal(proxyHeader(1, undefined).toString(), 'PROXY UNKNOWN\r\n');
  assert.deepEqual(parseProxyV2(proxyHeader(2, undefined)), {
    kind: 'header',
    header: { addresses: null, tlvs: [] },
    length: 16,
  });
});
