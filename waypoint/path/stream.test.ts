// SPDX-License-Identifier: Apache-2.0
// Streams that are no HTTP: passed on byte by byte, by TCP routes or by the server name of TLS.
import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:net';
import { after, before, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { listenAnywhere } from '#lib/testkit/listen.ts';
import { RawClient } from '#lib/testkit/raw-http.ts';
import { until } from '#lib/testkit/until.ts';
import { backendOf, WaypointProgram } from '#lib/testkit/waypoint.ts';

/** Greets first, then echoes, and says what it got when the client has ended. */
function greeter(name: string): Server {
  return createServer({ allowHalfOpen: true }, (socket) => {
    let bytes = 0;
    socket.write(`hello from ${name}\n`);
    socket.on('data', (part) => {
      bytes += part.length;
      socket.write(part);
    });
    socket.on('end', () => socket.end(`\n${bytes} bytes`));
    socket.on('error', () => {});
  });
}

const servers = { tcp: greeter('tcp'), tls: greeter('tls') };

let program: WaypointProgram;
before(async () => {
  const [tcp, tls] = [await listenAnywhere(servers.tcp), await listenAnywhere(servers.tls)];
  program = await WaypointProgram.start({
    services: [
      { name: 'tcp', ports: [tcp] },
      { name: 'tls', ports: [tls] },
    ],
    routes: [],
    settings: {
      listeners: [
        { name: 'http', port: 80, protocol: 'TCP', routeTable: 'plain' },
        { name: 'mesh', port: 443, protocol: 'TCP', routeTable: 'named' },
      ],
    },
    more: {
      routeTables: [
        { name: 'plain', tcp: [{ origin: 'TCPRoute t/plain', backends: [backendOf('tcp')] }] },
        {
          name: 'named',
          tls: [
            { hosts: ['*.shop.example'], origin: 'TLSRoute t/named', backends: [backendOf('tls')] },
            {
              hosts: ['gone.example'],
              origin: 'TLSRoute t/gone',
              backends: [{ weight: 1, invalid: 'BackendNotFound' }],
            },
          ],
        },
      ],
    },
  });
});
after(async () => {
  await program?.stop();
  for (const server of Object.values(servers)) server.close();
});

test('a server that speaks first is heard, both directions flow, and each has its own end', async () => {
  const client = await RawClient.connect(program.port());
  await client.sees(/^hello from tcp\n$/);
  client.sendRaw('x'.repeat(100_000));
  client.socket.end();
  await client.sees(/x\n100000 bytes$/);
  await client.end();
  await until('it is counted', async () =>
    /istio_tcp_connections_closed_total\{reporter="waypoint".*request_protocol="tcp",response_flags="-"/.test(
      await program.metrics(),
    ),
  );
  assert.match(await program.metrics(), /istio_tcp_received_bytes_total\{.*\} 100000\n/);
});

/** What a TLS client for that name hears first; '' when its connection is ended. */
function firstWords(servername: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connectTls({ port: program.port('mesh'), host: '127.0.0.1', servername, rejectUnauthorized: false });
    // The greeter speaks no TLS: its greeting is what the client stumbles over.
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
    socket.on('close', () => resolve(''));
  });
}

test('TLS is led by its server name without being opened; a name that nobody serves ends the connection', async () => {
  assert.match(await firstWords('a.shop.example'), /WRONG_VERSION|PACKET|ERR_SSL/);
  for (const name of ['other.example', 'gone.example', 'shop.example'])
    assert.match(await firstWords(name), /^(ECONNRESET|)$/, name);
});
