// SPDX-License-Identifier: Apache-2.0
import { deepEqual, equal } from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { test } from 'node:test';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import { createTestCa } from '#lib/testkit/certificates.ts';
import { SOL_TCP, TCP_USER_TIMEOUT } from './constants.ts';
import { getOption } from './socket.ts';
import { descriptor, endUnacknowledged } from './unacknowledged.ts';

for (const secured of [false, true]) {
  test(`a ${secured ? 'TLS' : 'plain'} connection ends when nothing is acknowledged, after 8 s or as told`, async () => {
    const ca = await createTestCa();
    const { chainPem: cert, keyPem: key } = await ca.issue([{ type: 'dns', value: 'localhost' }], {
      extendedKeyUsage: [],
    });
    const server = secured ? createTlsServer({ cert, key }) : createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const to = { host: '127.0.0.1', port: (server.address() as AddressInfo).port };
    const socket = secured ? connectTls({ ...to, ca: ca.rootPem, servername: 'localhost' }) : connect(to);
    try {
      await once(socket, secured ? 'secureConnect' : 'connect');
      const limits = [undefined, 1_234].map((ms) => {
        equal(endUnacknowledged(socket, ms), true);
        return getOption(descriptor(socket)!, SOL_TCP, TCP_USER_TIMEOUT);
      });
      deepEqual(limits, [8_000, 1_234]);
      socket.destroy();
      await once(socket, 'close');
      equal(endUnacknowledged(socket), false);
    } finally {
      socket.destroy();
      server.close();
    }
  });
}
