// SPDX-License-Identifier: Apache-2.0
// A tunnel in a tunnel: the outer one ends at a gateway that only carries bytes, the inner one behind it.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { Loop } from '#lib/loop/loop.ts';
import { App, AppServer } from '#lib/testkit/plain-app.ts';
import { acceptAll, listenOn, loopback, RelayEntry, RelayExit, turnUntil } from '#lib/testkit/relay.ts';
import { createTlsMaterial, type TlsMaterial } from '#lib/testkit/tls-material.ts';
import { HeaderBlock } from '#lib/wire/h2/headers.ts';
import { HBONE_CLIENT } from '#lib/wire/h2/settings.ts';
import type { H2Stream } from '#lib/wire/h2/stream.ts';
import { Session, type StreamUser } from './session.ts';
import { Socket } from './socket.ts';
import { StreamTransport } from './stream-transport.ts';
import { TunnelStream } from './tunnel-stream.ts';
import { Workbench } from './workbench.ts';

let material: TlsMaterial;
before(async () => {
  material = await createTlsMaterial();
});

/** The user of a CONNECT that only waits for its 200. */
function awaiting(onOpen: () => void): StreamUser {
  return {
    sendQueued: false,
    nextSender: null,
    fill: () => 0,
    onHeaders: () => onOpen(),
    onData: () => {},
    onReset: () => {},
    onSendable: () => {},
    onTunnelLost: () => {},
  };
}

/** Clients that dial `door` reach `server` through both tunnels. `judge` is asked of the inner peer. */
function rig(judge: (uri: string) => string = () => '') {
  const loop = new Loop({ spin: false });
  const bench = new Workbench(loop);
  const context = material.context(material.cart);
  const serverContext = material.context(material.orders);
  const server = new AppServer(loop, loopback());
  const far = new RelayExit(bench, loopback(), () => serverContext);
  const gateway = new RelayExit(bench, loopback(), () => serverContext);
  const entry = new RelayEntry(bench, gateway.endpoint, () => context);
  const causes: string[] = [];
  const ends: string[] = [];
  const count = { out: 0, in: 0 };
  const inners: Session[] = [];

  const { fd, endpoint: door } = listenOn(loopback());
  const acceptor = acceptAll(loop, fd, (accepted) => {
    const socket = new Socket(loop, accepted, { onSocket: () => {} });
    const fail = (cause: string) => {
      causes.push(cause);
      socket.abort();
    };
    const ask = (session: Session, authority: string, onOpen: (stream: H2Stream) => void) => {
      const stream: H2Stream | null = session.request(
        HeaderBlock.request('CONNECT', '', authority, ''),
        awaiting(() => onOpen(stream!)),
      );
    };
    const inner = (outer: Session, stream: H2Stream) =>
      new Session(
        bench,
        'client',
        HBONE_CLIENT,
        {
          onPeer: (_session, peer) => judge(peer?.uri ?? ''),
          onUsable: (session) =>
            ask(session, server.endpoint.toString(), (opened) => {
              const books = {
                onBytesOut: (n: number) => {
                  count.out += n;
                },
                onBytesIn: (n: number) => {
                  count.in += n;
                },
                onJoinEnd: (error: string) => void ends.push(error),
              };
              new TunnelStream(session, opened, socket, books);
            }),
          onRequest: () => {},
          onStreamGone: (session) => loop.again({ resumeQueued: false, resume: () => session.drain() }),
          onSessionEnd: (_session, cause) => fail(cause),
        },
        (owner) => new StreamTransport(outer, stream, context, 'client', owner),
      );
    entry.pool.acquire(
      { key: gateway.endpoint.toString(), endpoint: gateway.endpoint },
      {
        onNoTunnel: fail,
        onTunnel: (outer) =>
          ask(outer, far.endpoint.toString(), (stream) => {
            inners.push(inner(outer, stream));
          }),
      },
    );
  });
  return {
    loop,
    bench,
    server,
    far,
    gateway,
    entry,
    causes,
    ends,
    count,
    inners,
    dial: () => App.dial(loop, door),
    until: (what: string, condition: () => boolean, ms?: number) => turnUntil(loop, what, condition, ms),
    [Symbol.dispose]() {
      acceptor.close();
      entry.close();
      far.close();
      gateway.close();
      loop.dispose();
      context.dispose();
      serverContext.dispose();
    },
  };
}

test('bytes and both ends travel through a tunnel in a tunnel, and then nothing of it is left', () => {
  using r = rig();
  const client = r.dial();
  client.send('ping');
  r.until('the server hears', () => r.server.connections[0]?.text === 'ping');
  r.server.connections[0]!.send('pong');
  r.until('the client hears', () => client.text === 'pong');
  client.finish();
  r.until('FIN arrives', () => r.server.connections[0]!.end === 'fin');
  r.server.connections[0]!.send('last words');
  r.server.connections[0]!.finish();
  r.until('FIN returns', () => client.end === 'fin');
  assert.equal(client.text, 'ponglast words');
  assert.deepEqual([r.ends, r.count], [[''], { out: 4, in: 14 }]);
  r.until('the inner tunnel ends', () => r.far.sessions.length === 0 && r.inners[0]!.state === 'closed');
  r.until('the outer stream ends', () => r.gateway.sessions[0]!.h2.openStreams === 0);
});

test('bulk travels whole in both directions at once', () => {
  using r = rig();
  const bulk = Buffer.alloc(24 << 20);
  for (let i = 0; i < bulk.length; i += 4) bulk.writeUInt32LE(i, i);
  const client = r.dial();
  r.until('it is joined', () => r.server.connections.length === 1);
  const server = r.server.connections[0]!;
  client.send(bulk);
  server.send(bulk);
  r.until('all has arrived', () => server.received === bulk.length && client.received === bulk.length);
  assert.ok(Buffer.concat(server.chunks).equals(bulk));
  assert.ok(Buffer.concat(client.chunks).equals(bulk));
});

test('a stopped reader holds the sender back, its neighbour goes on, and nothing is lost', () => {
  using r = rig();
  const slow = r.dial();
  r.until('it is joined', () => r.server.connections.length === 1);
  const other = r.dial();
  r.until('both are joined', () => r.server.connections.length === 2);
  const [toSlow, toOther] = r.server.connections as [App, App];
  slow.paused = true;
  const bulk = Buffer.alloc(64 << 20, 'x');
  toSlow.send(bulk);
  let sent = -1;
  r.until(
    'the sender stands still',
    () => {
      for (let k = 0; k < 20; k++) r.loop.turn(5);
      const still = toSlow.unsent === sent;
      sent = toSlow.unsent;
      return still;
    },
    20_000,
  );
  assert.ok(sent > 0 && r.bench.blocks.used < 24 << 20, `${sent} unsent, ${r.bench.blocks.used} held`);
  toOther.send('still here');
  r.until('the neighbour hears', () => other.text === 'still here');
  slow.keep = false;
  slow.paused = false;
  slow.pump();
  r.until('all arrives in the end', () => slow.received === bulk.length);
});

test('an inner peer that is not the one expected gets nothing', () => {
  using r = rig((uri) => (uri.endsWith('/sa/orders') ? 'peer is not wanted' : ''));
  const client = r.dial();
  r.until('the client is cut', () => client.end === 'reset');
  assert.deepEqual(r.causes, ['peer is not wanted']);
  assert.equal(r.server.connections.length, 0);
});

test('an outer tunnel that dies is no end of the inner connection, it is a break', () => {
  using r = rig();
  const client = r.dial();
  r.until('it is joined', () => r.server.connections.length === 1);
  for (const session of [...r.gateway.sessions]) session.drop('pulled');
  r.until('both sides see it', () => client.end === 'reset' && r.server.connections[0]!.end === 'reset');
  assert.notEqual(r.ends[0], '');
});
