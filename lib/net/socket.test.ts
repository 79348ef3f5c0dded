// SPDX-License-Identifier: Apache-2.0
// When a socket may say that nothing follows without having been asked once more.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Endpoint } from '#lib/linux/address.ts';
import { Arena } from '#lib/linux/arena.ts';
import { accept, close, read, send, shutdownWrite } from '#lib/linux/calls.ts';
import { EAGAIN } from '#lib/linux/errno.ts';
import { localAddress, resetOnClose, tcpDial, tcpListen } from '#lib/linux/socket.ts';
import { Loop } from '#lib/loop/loop.ts';
import { BROKEN, Socket } from './socket.ts';

const MSG_OOB = 1;
const arena = Arena.allocate(4096);

/** A socket on a loop and the descriptor of its peer. */
function withPair(body: (loop: Loop, socket: Socket, peer: number, until: (condition: () => boolean) => void) => void) {
  const loop = new Loop({ spin: false });
  const listener = tcpListen(Endpoint.parse('127.0.0.1')!);
  const at = new Endpoint();
  localAddress(listener, at);
  const peer = tcpDial(at, { noDelay: true });
  try {
    let fd = accept(listener);
    for (let n = 0; fd === -EAGAIN && n < 1000; n++) {
      loop.turn(1);
      fd = accept(listener);
    }
    const socket = new Socket(loop, fd, { onSocket: () => {} });
    const until = (condition: () => boolean): void => {
      for (let n = 0; n < 500; n++) {
        if (condition()) return;
        loop.turn(10);
      }
      assert.fail('condition not met within the turns allowed');
    };
    body(loop, socket, peer, until);
  } finally {
    loop.dispose();
    close(peer);
    close(listener);
  }
}

function say(peer: number, text: string, flags = 0): void {
  arena.bytes.write(text, 2048);
  assert.equal(send(peer, arena, 2048, text.length, flags), text.length);
}

const receive = (socket: Socket): string => arena.bytes.toString('latin1', 0, socket.receive(arena, 0, 1024));

test('bytes that a FIN follows are known to be the last ones', () => {
  withPair((_loop, socket, peer, until) => {
    say(peer, 'abc');
    until(() => socket.readable);
    assert.equal(receive(socket), 'abc');
    assert.equal(socket.takeEnd(), false, 'more may come');
    say(peer, 'def');
    shutdownWrite(peer);
    until(() => socket.ending);
    assert.equal(receive(socket), 'def');
    assert.equal(socket.takeEnd(), true);
    assert.equal(socket.readable, false, 'nothing is left to be asked for');
  });
});

test('a buffer that was filled says nothing about what follows', () => {
  withPair((_loop, socket, peer, until) => {
    say(peer, 'abcdef');
    shutdownWrite(peer);
    until(() => socket.ending);
    assert.equal(socket.receive(arena, 0, 6), 6);
    assert.equal(socket.takeEnd(), false);
    assert.equal(socket.receive(arena, 0, 6), 0);
  });
});

test('a read that stops at the mark of urgent data is not taken for the end', () => {
  withPair((_loop, socket, peer, until) => {
    say(peer, 'ab!', MSG_OOB);
    say(peer, 'cd');
    shutdownWrite(peer);
    until(() => socket.ending);
    assert.equal(receive(socket), 'ab');
    assert.equal(socket.takeEnd(), false);
    assert.equal(receive(socket), 'cd');
    assert.equal(socket.takeEnd(), false);
    assert.equal(socket.receive(arena, 0, 1024), 0);
  });
});

test('a reset is never the end of what was read before it', () => {
  withPair((_loop, socket, peer, until) => {
    say(peer, 'abc');
    until(() => socket.readable);
    resetOnClose(peer);
    close(peer);
    until(() => socket.ending);
    const first = socket.receive(arena, 0, 1024);
    assert.equal(socket.takeEnd(), false);
    if (first > 0) assert.equal(socket.receive(arena, 0, 1024), BROKEN);
  });
});

test('bytes that are sent before a FIN arrive with it', () => {
  withPair((_loop, socket, peer, until) => {
    until(() => socket.writable);
    arena.bytes.write('last', 0);
    assert.equal(socket.send(arena, 0, 4, true), 4);
    assert.equal(read(peer, arena, 1024, 16), -EAGAIN, 'they wait for it');
    socket.finish();
    until(() => read(peer, arena, 1024, 16) === 4);
    assert.equal(read(peer, arena, 1024, 16), 0);
  });
});
