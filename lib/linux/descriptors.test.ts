// SPDX-License-Identifier: Apache-2.0
// Whatever this process holds, a program it starts gets its three standard descriptors and nothing else.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Endpoint } from './address.ts';
import { Arena } from './arena.ts';
import { accept, close } from './calls.ts';
import { Epoll } from './epoll.ts';
import { pipe, received, receiveMessage, sendMessage, seqpacketPair, streamPair } from './message.ts';
import { Netns } from './netns.ts';
import { createEventFd, createMemory, duplicate, readOnlyDescriptor } from './process.ts';
import { tryProgram } from './program.ts';
import { localAddress, tcpDial, tcpListen, udpBind } from './socket.ts';

test('trap 3: a child inherits no socket, no namespace, no memory and no received descriptor', async () => {
  // What whoever started the tests left open is not ours.
  const before = await listed();
  const arena = Arena.allocate(64);
  const listener = tcpListen(Endpoint.parse('127.0.0.1')!);
  const at = new Endpoint();
  localAddress(listener, at);
  const dialled = tcpDial(at, {});
  let accepted = -1;
  while (accepted < 0) accepted = accept(listener);
  const memory = createMemory('ambit-test', 4096);
  const [a, b] = seqpacketPair();
  sendMessage(a, arena, 0, 1, [listener, memory]);
  receiveMessage(b, arena, 0, 64);
  const passed = received.fds;
  assert.equal(passed.length, 2);
  const netns = Netns.current();
  const epoll = new Epoll(8);
  const fds = [
    ...[
      listener,
      dialled,
      accepted,
      memory,
      a,
      b,
      ...passed,
      duplicate(listener),
      createEventFd(),
      readOnlyDescriptor(memory),
    ],
    ...[udpBind(Endpoint.parse('127.0.0.1')!), ...streamPair(), ...pipe()],
  ];
  assert.deepEqual(await listed(), before);
  for (const fd of fds) close(fd);
  netns.close();
  epoll.close();
});

/** Descriptors that a child finds open. */
async function listed(): Promise<string[]> {
  const { stdout } = await tryProgram('ls', ['/proc/self/fd']);
  return stdout.trim().split('\n').sort();
}

test('a missing program is named, with the package that has it', async () => {
  await assert.rejects(tryProgram('no-such-program', []), { code: 'PROGRAM_MISSING' });
});

test('a program that hangs is killed and named', async () => {
  await assert.rejects(tryProgram('sleep', ['30'], { timeoutMs: 50 }), { code: 'PROGRAM_TIMEOUT' });
});
