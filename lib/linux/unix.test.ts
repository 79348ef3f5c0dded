// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Arena } from './arena.ts';
import { close } from './calls.ts';
import { EAGAIN } from './errno.ts';
import { pipe, received, receiveMessage, sendMessage } from './message.ts';
import { unixAccept, unixConnect, unixListen } from './unix.ts';

const folder = mkdtempSync(join(tmpdir(), 'ambit-unix-'));
after(() => rmSync(folder, { recursive: true }));
const arena = Arena.allocate(4096);

test('messages keep their bounds and carry descriptors between two programs', () => {
  const path = join(folder, 'a.sock');
  // The file a program left behind does not stand in the way.
  close(unixListen(path));
  const listener = unixListen(path);
  assert.equal(unixAccept(listener), -EAGAIN);
  const client = unixConnect(path);
  const server = unixAccept(listener);
  assert.ok(server > 0);
  const [read, write] = pipe();
  arena.bytes.write('onetwo');
  assert.equal(sendMessage(client, arena, 0, 3, [read]), 3);
  assert.equal(sendMessage(client, arena, 3, 3), 3);
  assert.equal(receiveMessage(server, arena, 100, 100), 3);
  assert.equal(received.fds.length, 1);
  assert.equal(arena.bytes.toString('latin1', 100, 103), 'one');
  for (const fd of [...received.fds, read, write]) close(fd);
  assert.equal(receiveMessage(server, arena, 100, 100), 3);
  assert.deepEqual(received.fds, []);
  close(client);
  assert.equal(receiveMessage(server, arena, 0, 10), 0);
  close(server);
  close(listener);
});

test('a path without listener, a dead one and one too long are errors that name it', () => {
  assert.throws(() => unixConnect(join(folder, 'none.sock')), { code: 'SYSCALL_ENOENT' });
  const path = join(folder, 'dead.sock');
  close(unixListen(path));
  assert.throws(() => unixConnect(path), { code: 'SYSCALL_ECONNREFUSED' });
  assert.throws(() => unixConnect(`/${'x'.repeat(120)}`), { code: 'UNIX_PATH' });
});
