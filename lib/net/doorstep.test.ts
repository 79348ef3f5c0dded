// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Arena } from '#lib/linux/arena.ts';
import { accept, close, read, send, shutdownWrite } from '#lib/linux/calls.ts';
import { EBADF } from '#lib/linux/errno.ts';
import { resetOnClose, tcpDial } from '#lib/linux/socket.ts';
import { Loop } from '#lib/loop/loop.ts';
import { acceptAll, listenOn, loopback } from '#lib/testkit/relay.ts';
import { Doorstep, leftAtOnce, type Vain } from './doorstep.ts';
import { OFFENCE } from './offenders.ts';
import { Workbench } from './workbench.ts';

const arena = Arena.allocate(64);

function fixture() {
  const clock = { skew: 0 };
  const loop = new Loop({ spin: false, monotonic: () => performance.now() + clock.skew });
  const bench = new Workbench(loop);
  const { fd, endpoint } = listenOn(loopback());
  const spoke: number[] = [];
  const doorsteps: Doorstep[] = [];
  const count = { silent: 0, no_tls: 0, held: 0 };
  const owner = {
    onHello: (one: number) => void spoke.push(one),
    onVain: (why: Vain) => void count[why]++,
  };
  const acceptor = acceptAll(loop, fd, (one) => void doorsteps.push(new Doorstep(bench, one, '10.0.0.7', owner)));
  const turn = (until: () => boolean): void => {
    for (const end = performance.now() + 10_000; !until() && performance.now() < end; ) loop.turn(5);
    assert.ok(until());
  };
  const end = (): void => {
    acceptor.close();
    for (const one of spoke) close(one);
    loop.dispose();
  };
  return { bench, clock, count, dial: () => tcpDial(endpoint, {}), doorsteps, end, spoke, turn };
}

test('a connection is handed over with its first byte, which is still to be read', () => {
  const { count, dial, end, doorsteps, spoke, turn } = fixture();
  const client = dial();
  turn(() => doorsteps.length === 1);
  assert.equal(spoke.length, 0);
  arena.bytes[0] = 0x16;
  assert.equal(send(client, arena, 0, 1), 1);
  turn(() => spoke.length === 1);
  arena.bytes[0] = 0;
  assert.equal(read(spoke[0]!, arena, 0, 64), 1);
  assert.equal(arena.bytes[0], 0x16);
  assert.equal(count.silent, 0);
  close(client);
  end();
});

test('one that leaves without a byte costs nothing but its descriptor, and is told as silent', () => {
  const { count, dial, end, spoke, turn } = fixture();
  const clients = Array.from({ length: 50 }, dial);
  for (const client of clients) close(client);
  turn(() => count.silent === 50);
  assert.equal(spoke.length, 0);
  end();
});

test('one that speaks and says at once that nothing follows is heard', () => {
  const { count, dial, end, doorsteps, spoke, turn } = fixture();
  const client = dial();
  arena.bytes[0] = 0x16;
  turn(() => doorsteps.length === 1);
  send(client, arena, 0, 1);
  shutdownWrite(client);
  turn(() => spoke.length === 1);
  assert.equal(count.silent, 0);
  close(client);
  end();
});

test('one that stays and says nothing is closed when a handshake would have to be over', () => {
  const { clock, count, dial, end, doorsteps, turn } = fixture();
  const client = dial();
  turn(() => doorsteps.length === 1);
  clock.skew = 11_000;
  turn(() => count.silent === 1);
  assert.equal(read(client, arena, 0, 1), 0, 'the client sees the end');
  close(client);
  end();
});

test('one that speaks, and not TLS, is sent away before anything is made for it', () => {
  const { count, dial, end, doorsteps, spoke, turn } = fixture();
  const words = ['GET / HTTP/1.1', '\x16\x16\x16\x16\x16\x16', '\x16\x03\x01\x02\x00\x02'];
  const clients = words.map((text, k) => {
    const client = dial();
    turn(() => doorsteps.length === k + 1);
    const length = arena.bytes.write(text, 'latin1');
    send(client, arena, 0, length);
    return client;
  });
  turn(() => count.no_tls === words.length);
  assert.deepEqual([count.silent, spoke.length], [0, 0]);
  for (const client of clients) close(client);
  end();
});

test('one whose address was cut off again and again stands there with its first bytes until its turn comes', () => {
  const { bench, clock, count, dial, doorsteps, end, spoke, turn } = fixture();
  for (let k = 0; k < 32; k++) bench.offenders.note('10.0.0.7', OFFENCE.cut, 'too much');
  assert.equal(bench.offenders.wait('10.0.0.7'), 0, 'another one of it came in just now');
  const [first, second] = [dial(), dial()];
  arena.bytes[0] = 0x16;
  for (const client of [first, second]) send(client, arena, 0, 1);
  turn(() => doorsteps.length === 2);
  clock.skew += 100;
  bench.loop.turn(0);
  assert.equal(spoke.length, 0);
  clock.skew += 450;
  turn(() => spoke.length === 1);
  clock.skew += 550;
  turn(() => spoke.length === 2);
  assert.deepEqual(count, { silent: 0, no_tls: 0, held: 0 });
  for (const client of [first, second]) close(client);
  end();
});

test('one that has to wait and leaves, or has waited for as long as a handshake may take, is told as held', () => {
  const { bench, clock, count, dial, doorsteps, end, spoke, turn } = fixture();
  const waiting = { now: 0, inAll: 0 };
  bench.offenders.observer = {
    onHeld: (offender) => {
      assert.equal(offender.reason, 'too much');
      waiting.inAll++;
      assert.equal(offender.waiting, ++waiting.now);
    },
    onLetGo: (offender) => assert.equal(offender.waiting, --waiting.now),
  };
  for (let k = 0; k < 32; k++) bench.offenders.note('10.0.0.7', OFFENCE.cut, 'too much');
  bench.offenders.wait('10.0.0.7');
  const [leaver, waiter] = [dial(), dial()];
  arena.bytes[0] = 0x16;
  for (const client of [leaver, waiter]) send(client, arena, 0, 1);
  turn(() => doorsteps.length === 2);
  turn(() => waiting.now === 2);
  close(leaver);
  turn(() => count.held === 1);
  assert.equal(waiting.now, 1);
  clock.skew += 11_000;
  turn(() => count.held === 2);
  assert.equal(spoke.length, 0);
  assert.deepEqual(waiting, { now: 0, inAll: 2 });
  close(waiter);
  end();
});

test('who has gone without a word is seen before anything is made, and nobody else is sent away', () => {
  const loop = new Loop({ spin: false });
  const bench = new Workbench(loop);
  const { fd, endpoint } = listenOn(loopback());
  const met = (then: (client: number) => void): number => {
    const client = tcpDial(endpoint, {});
    let one = accept(fd);
    for (const end = performance.now() + 10_000; one < 0 && performance.now() < end; ) one = accept(fd);
    then(client);
    return one;
  };
  const stays = met(() => {});
  assert.equal(leftAtOnce(bench, stays), false);
  const speaks = met((client) => {
    assert.equal(send(client, arena, 0, 1), 1);
    close(client);
  });
  assert.equal(leftAtOnce(bench, speaks), false);
  for (const gone of [
    met(close),
    met((client) => {
      resetOnClose(client);
      close(client);
    }),
  ]) {
    assert.equal(leftAtOnce(bench, gone), true);
    assert.equal(read(gone, arena, 0, 1), -EBADF);
  }
  for (const one of [stays, speaks, fd]) close(one);
  loop.dispose();
});
