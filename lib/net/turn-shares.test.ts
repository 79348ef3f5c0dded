// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Arena } from '#lib/linux/arena.ts';
import { tcpDial } from '#lib/linux/socket.ts';
import { Loop } from '#lib/loop/loop.ts';
import { acceptAll, listenOn, loopback } from '#lib/testkit/relay.ts';
import { createTlsMaterial } from '#lib/testkit/tls-material.ts';
import { TlsTransport } from './tls-transport.ts';
import type { TransportOwner } from './transport.ts';
import { DialTurns, HandshakeTurns } from './turn-shares.ts';
import { Workbench } from './workbench.ts';

/** Streams that note when they dial; `wanted: false` were reset meanwhile. */
function stream(log: string[], name: string, wanted = true) {
  return {
    dial: () => {
      if (wanted) log.push(name);
      return wanted;
    },
  };
}

test('a tunnel with many streams to dial for takes its turn with the others', () => {
  const loop = new Loop({ spin: false });
  const turns = new DialTurns(loop);
  const log: string[] = [];
  const [greedy, modest] = [{}, {}];
  for (let k = 0; k < 100; k++) turns.push(greedy, stream(log, `greedy ${k}`));
  turns.push(modest, stream(log, 'modest'));
  loop.turn(0);
  assert.deepEqual(log.slice(0, 3), ['greedy 0', 'modest', 'greedy 1']);
  assert.ok(log.length < 50, 'the rest waits for later turns');
  for (let k = 0; k < 5; k++) loop.turn(0);
  assert.equal(log.length, 101);
  loop.dispose();
});

test('streams that were reset in the turn they came in are dialled for by nobody, and take nobody’s place', () => {
  const loop = new Loop({ spin: false });
  const turns = new DialTurns(loop);
  const log: string[] = [];
  for (let k = 0; k < 10_000; k++) turns.push(turns, stream(log, 'reset', false));
  turns.push(loop, stream(log, 'kept'));
  loop.turn(0);
  assert.deepEqual(log, ['kept']);
  assert.equal(loop.turn(0), 0);
  loop.dispose();
});

test('a turn has few steps of handshakes, each turn its own', () => {
  let now = 0;
  const loop = new Loop({ spin: false, monotonic: () => now });
  const turns = new HandshakeTurns(loop);
  const taken = (): number => Array.from({ length: 100 }, () => turns.take()).filter(Boolean).length;
  const first = taken();
  assert.ok(first > 0 && first < 10, `${first} steps`);
  now++;
  loop.turn(0);
  assert.equal(taken(), first);
  loop.dispose();
});

test('many handshakes at once all come to their end', async () => {
  const material = await createTlsMaterial();
  const loop = new Loop({ spin: false });
  const bench = new Workbench(loop);
  const contexts = [material.context(material.cart), material.context(material.orders)] as const;
  let open = 0;
  const owner: TransportOwner = {
    onOpen: () => {
      open++;
      return '';
    },
    onPlaintext: () => {},
    onRoom: () => {},
    onTransportEnd: () => {},
  };
  const { fd, endpoint } = listenOn(loopback());
  const acceptor = acceptAll(loop, fd, (accepted) => new TlsTransport(bench, accepted, contexts[1], 'server', owner));
  const clients = Array.from({ length: 40 }, () => {
    return new TlsTransport(bench, tcpDial(endpoint, {}), contexts[0], 'client', owner);
  });
  for (let k = 0; k < 5000 && open < 80; k++) loop.turn(5);
  assert.equal(open, 80);
  for (const client of clients) client.abort();
  acceptor.close();
  loop.dispose();
  for (const context of contexts) context.dispose();
});

test('a transport that waits for its peer to close does not keep the loop busy, nor does it read for ever', async () => {
  const material = await createTlsMaterial();
  // The client's loop stands still when it has said what it has to say.
  const [here, there] = [new Loop({ spin: false }), new Loop({ spin: false })];
  const contexts = [material.context(material.cart), material.context(material.orders)] as const;
  let ends = 0;
  let open = 0;
  const owner: TransportOwner = {
    onOpen: () => {
      open++;
      return '';
    },
    onPlaintext: () => {},
    onRoom: () => {},
    onTransportEnd: () => void ends++,
  };
  const { fd, endpoint } = listenOn(loopback());
  const bench = new Workbench(here);
  let server: TlsTransport | undefined;
  const acceptor = acceptAll(here, fd, (accepted) => {
    server = new TlsTransport(bench, accepted, contexts[1], 'server', owner);
  });
  const client = new TlsTransport(new Workbench(there), tcpDial(endpoint, {}), contexts[0], 'client', owner);
  for (let k = 0; k < 5000 && open < 2; k++) {
    here.turn(5);
    there.turn(5);
  }
  assert.equal(open, 2);
  server!.finish();
  let events = 0;
  for (let k = 0; k < 100; k++) events += here.turn(0);
  assert.ok(events < 10, `${events} events of a socket on which nothing happens`);
  // Words for somebody who has gone: a few megabytes are heard out, then the connection is cut.
  const words = Arena.allocate(64 * 1024);
  for (const end = performance.now() + 60_000; server!.state !== 'closed' && performance.now() < end; ) {
    if (client.room() >= words.size) client.write(words, words.size);
    client.drain();
    there.turn(0);
    here.turn(0);
  }
  assert.equal(server!.state, 'closed');
  client.abort();
  acceptor.close();
  for (const loop of [here, there]) loop.dispose();
  for (const context of contexts) context.dispose();
});

test('plaintext that makes much work is taken in small pieces, one a turn', async () => {
  const material = await createTlsMaterial();
  const loop = new Loop({ spin: false });
  const bench = new Workbench(loop);
  const contexts = [material.context(material.cart), material.context(material.orders)] as const;
  const pieces: number[] = [];
  let turns = 0;
  let open = 0;
  const quiet: TransportOwner = {
    onOpen: () => {
      open++;
      return '';
    },
    onPlaintext: () => {},
    onRoom: () => {},
    onTransportEnd: () => {},
  };
  const hard: TransportOwner = {
    ...quiet,
    onPlaintext: (_bytes, start, end) => {
      pieces.push(end - start);
      for (const until = performance.now() + 2; performance.now() < until; );
    },
  };
  const { fd, endpoint } = listenOn(loopback());
  const acceptor = acceptAll(loop, fd, (accepted) => new TlsTransport(bench, accepted, contexts[1], 'server', hard));
  const client = new TlsTransport(bench, tcpDial(endpoint, {}), contexts[0], 'client', quiet);
  for (let k = 0; k < 5000 && open < 2; k++) loop.turn(5);
  const words = Arena.allocate(8 * 1024);
  let sent = 0;
  const heard = (): number => pieces.reduce((sum, n) => sum + n, 0);
  for (; turns < 20_000 && (sent < 1 << 18 || heard() < sent); turns++) {
    while (sent < 1 << 18 && client.room() >= words.size && client.write(words, words.size)) sent += words.size;
    client.drain();
    const before = pieces.length;
    loop.turn(1);
    assert.ok(pieces.length - before <= 2, `${pieces.length - before} pieces in a turn`);
  }
  assert.equal(heard(), sent, 'all of it arrives');
  assert.ok(pieces.at(-1)! <= 4096, `pieces of ${pieces.at(-1)} octets at last`);
  client.abort();
  acceptor.close();
  loop.dispose();
  for (const context of contexts) context.dispose();
});
