// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { dialThrough } from '../api/http/dial.ts';
import { serveNetworkSocket } from './network-socket.ts';

test('an API server outside reaches a place inside through the socket, and learns when it cannot', async () => {
  const dir = mkdtempSync(join(tmpdir(), `ambit-network-${process.pid}-`));
  const inside = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket));
  await once(inside.listen(0, '127.0.0.1'), 'listening');
  const { port } = inside.address() as AddressInfo;
  const path = join(dir, 'network.sock');
  const door = await serveNetworkSocket(path);
  try {
    const dial = dialThrough(path);
    const socket = await dial('127.0.0.1', port);
    socket.end('there and back');
    assert.equal(await text(socket), 'there and back');
    // Nobody listens there.
    await assert.rejects(dial('127.0.0.1', 1), {
      code: 'API_EGRESS',
      message: /cannot connect to 127\.0\.0\.1:\d+: HTTP\/1\.1 502/,
    });
    await assert.rejects(dialThrough(join(dir, 'nothing'))('127.0.0.1', port), { code: 'ENOENT' });
  } finally {
    inside.close();
    door.close();
    rmSync(dir, { recursive: true, force: true });
  }
});
