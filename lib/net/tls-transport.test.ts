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
import { Workbench } from './workbench.ts';

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
    onPlaintext: (_bytes, _start, end) => end,
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
    onPlaintext: (_bytes, _start, end) => end,
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

test('plaintext that makes much work is looked at in pieces, a share of time each, and all of it arrives in order', async () => {
  const material = await createTlsMaterial();
  const loop = new Loop({ spin: false });
  const bench = new Workbench(loop);
  const contexts = [material.context(material.cart), material.context(material.orders)] as const;
  let looks = 0;
  let heard = 0;
  let inOrder = true;
  let open = 0;
  const quiet: TransportOwner = {
    onOpen: () => {
      open++;
      return '';
    },
    onPlaintext: (_bytes, _start, end) => end,
    onRoom: () => {},
    onTransportEnd: () => {},
  };
  const hard: TransportOwner = {
    ...quiet,
    onPlaintext: (bytes, start, end) => {
      looks++;
      // As much as is work enough; it takes longer than a share.
      const stop = Math.min(end, start + 700);
      for (let at = start; at < stop; at++) inOrder &&= bytes[at] === (heard + at - start) % 251;
      heard += stop - start;
      for (const until = performance.now() + 1; performance.now() < until; );
      return stop;
    },
  };
  const { fd, endpoint } = listenOn(loopback());
  const acceptor = acceptAll(loop, fd, (accepted) => new TlsTransport(bench, accepted, contexts[1], 'server', hard));
  const client = new TlsTransport(bench, tcpDial(endpoint, {}), contexts[0], 'client', quiet);
  for (let k = 0; k < 5000 && open < 2; k++) loop.turn(5);
  const words = Arena.allocate(8 * 1024);
  const all = 1 << 18;
  let sent = 0;
  for (let turns = 0; turns < 20_000 && heard < all; turns++) {
    while (sent < all && client.room() >= words.size) {
      for (let at = 0; at < words.size; at++) words.bytes[at] = (sent + at) % 251;
      if (!client.write(words, words.size)) break;
      sent += words.size;
    }
    client.drain();
    const before = looks;
    loop.turn(1);
    assert.ok(looks - before <= 2, `${looks - before} looks in a turn`);
  }
  assert.equal(heard, all, 'all of it arrives');
  assert.ok(inOrder, 'in order');
  client.abort();
  acceptor.close();
  loop.dispose();
  for (const context of contexts) context.dispose();
});
