// SPDX-License-Identifier: Apache-2.0
// Servers that stall or talk nonsense at each stage of a tunnel's beginning: the client is told a cause in time, and nothing hangs.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { Endpoint } from '#lib/linux/address.ts';
import { Arena } from '#lib/linux/arena.ts';
import { close } from '#lib/linux/calls.ts';
import { localAddress, tcpListen } from '#lib/linux/socket.ts';
import { Loop } from '#lib/loop/loop.ts';
import { App } from '#lib/testkit/plain-app.ts';
import { acceptAll, listenOn, loopback, RelayEntry, turnUntil } from '#lib/testkit/relay.ts';
import { createTlsMaterial, type TlsMaterial } from '#lib/testkit/tls-material.ts';
import { TlsTransport } from './tls-transport.ts';
import { Workbench } from './workbench.ts';

let material: TlsMaterial;
before(async () => {
  material = await createTlsMaterial();
});

/** An entry whose peer is whatever `serve` makes of each accepted descriptor; time can be moved on. */
function rigWith(serve: (bench: Workbench, fd: number) => void, instead?: Endpoint) {
  const clock = { ahead: 0 };
  const loop = new Loop({ spin: false, monotonic: () => performance.now() + clock.ahead });
  const bench = new Workbench(loop);
  const { fd, endpoint } = listenOn(loopback());
  const acceptor = acceptAll(loop, fd, (accepted) => serve(bench, accepted));
  const context = material.context(material.cart);
  const entry = new RelayEntry(bench, instead ?? endpoint, () => context);
  const door = entry.serve(loopback(), '10.0.0.1:80');
  return {
    ...{ loop, bench, entry, clock },
    /** Dials, lets `seconds` pass, and gives the cause that the client's tunnel failed for. */
    causeAfter(seconds: number): string {
      const client = App.dial(loop, door);
      for (let k = 0; k < 40; k++) loop.turn(5);
      for (let s = 0; s < seconds && client.end === ''; s += 5) {
        clock.ahead += 5000;
        for (let k = 0; k < 5; k++) loop.turn(1);
      }
      turnUntil(loop, 'the client is cut', () => client.end === 'reset');
      assert.equal(entry.pool.size, 0);
      return entry.failures.join('; ');
    },
    [Symbol.dispose]() {
      entry.close();
      acceptor.close();
      context.dispose();
      loop.dispose();
    },
  };
}

/** A server that ends TLS properly and then says `bytes`. */
function afterTls(bytes: Buffer) {
  return (bench: Workbench, fd: number): void => {
    const context = material.context(material.orders);
    const staging = Arena.allocate(64 * 1024);
    staging.bytes.set(bytes);
    const transport = new TlsTransport(bench, fd, context, 'server', {
      onOpen: () => {
        bench.loop.after(1, {
          onTimer: () => {
            if (bytes.length > 0 && transport.write(staging, bytes.length)) transport.drain();
          },
        });
        return '';
      },
      onPlaintext: (_bytes, _start, end) => end,
      onRoom: () => {},
      onTransportEnd: () => {},
    });
  };
}

test('a server that accepts and says nothing is given up at the TLS deadline', () => {
  using rig = rigWith((bench, fd) => void new App(bench.loop, fd));
  assert.equal(rig.causeAfter(15), 'TLS handshake timed out');
});

test('a server that talks nonsense instead of TLS fails at once', () => {
  using rig = rigWith((bench, fd) => new App(bench.loop, fd).send('HTTP/1.1 400 Bad Request\r\n\r\n'));
  assert.match(rig.causeAfter(0), /^TLS handshake failed/);
});

test('a server that closes during the handshake fails at once', () => {
  using rig = rigWith((bench, fd) => new App(bench.loop, fd).finish());
  assert.match(rig.causeAfter(0), /closed during the TLS handshake|handshake failed/);
});

test('a server that never sends SETTINGS is given up at the HTTP/2 deadline', () => {
  using rig = rigWith(afterTls(Buffer.alloc(0)));
  assert.equal(rig.causeAfter(25), 'HTTP/2 handshake timed out: no SETTINGS came');
});

test('a server that talks nonsense instead of HTTP/2 fails at once', () => {
  using rig = rigWith(afterTls(Buffer.from('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n')));
  assert.match(rig.causeAfter(0), /^HTTP\/2 /);
});

test('a server that resets what it accepts fails at once', () => {
  using rig = rigWith((bench, fd) => new App(bench.loop, fd).socket.abort());
  assert.match(rig.causeAfter(0), /connection (failed|closed)/);
});

test('a server that TCP never reaches is given up at its deadline, and the usual culprit is named', () => {
  const loop = new Loop({ spin: false });
  // A queue of one that nobody empties: once it is full the kernel drops what knocks.
  const fd = tcpListen(loopback(), { backlog: 0 });
  const endpoint = new Endpoint();
  localAddress(fd, endpoint);
  const filling = Array.from({ length: 4 }, () => App.dial(loop, endpoint));
  loop.turn(50);
  using rig = rigWith(() => {}, endpoint);
  assert.equal(rig.causeAfter(15), 'connection timed out, maybe a NetworkPolicy is blocking HBONE port 15008');
  for (const app of filling) app.socket.abort();
  loop.turn(0);
  close(fd);
  loop.dispose();
});
