// SPDX-License-Identifier: Apache-2.0
// The server's end of a tunnel, fed with what a peer behind a good certificate may say: it answers CONNECT as a node proxy does, sends to
// and reads from streams, and must neither throw nor keep anything of a tunnel that is over.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { Arena } from '#lib/linux/arena.ts';
import { Loop } from '#lib/loop/loop.ts';
import { fuzz } from '#lib/testkit/fuzz.ts';
import {
  connectFrame,
  dataFrame,
  frame,
  headers,
  resetFrame,
  settingsAck,
  settingsFrame,
  windowFrame,
} from '#lib/testkit/h2-peer.ts';
import { parseBaggage } from '#lib/wire/baggage.ts';
import type { HeaderBlock } from '#lib/wire/h2/headers.ts';
import { FRAME_HEADER, FrameType, PREFACE } from '#lib/wire/h2/protocol.ts';
import { HBONE_SERVER } from '#lib/wire/h2/settings.ts';
import type { H2Stream } from '#lib/wire/h2/stream.ts';
import { connectResponse, HboneStatus, parseAuthority, parseForwarded, parseTraceparent } from '#lib/wire/hbone.ts';
import type { Sender } from './send-queue.ts';
import { Session, type SessionOwner, type StreamUser } from './session.ts';
import type { Transport, TransportOwner } from './transport.ts';
import { Workbench } from './workbench.ts';

const MAX_OUTPUT = 4 << 20;
const loop = new Loop({ spin: false });
const bench = new Workbench(loop, 1 << 20);

/** A pipe that takes everything and counts it. */
class Pipe implements Transport {
  sent = 0;
  over = false;

  room(): number {
    return this.over ? 0 : bench.staging.size;
  }

  write(_arena: Arena, length: number): boolean {
    this.sent += length;
    assert.ok(this.sent < MAX_OUTPUT, 'a little input made very much output');
    return true;
  }

  drain(): boolean {
    return true;
  }

  shrink(): void {}

  finish(): void {
    this.over = true;
  }

  abort(): void {
    this.over = true;
  }
}

/** An application that echoes what it is told. */
class Echo implements StreamUser {
  sendQueued = false;
  nextSender: Sender | null = null;
  readonly #session: Session;
  readonly #stream: H2Stream;
  #owed = 0;
  #ended = false;
  #over = false;

  constructor(session: Session, stream: H2Stream) {
    this.#session = session;
    this.#stream = stream;
    stream.userData = this;
  }

  fill(arena: Arena, offset: number, room: number, share: number): number {
    if (this.#over) return 0;
    const n = Math.min(this.#owed, room - FRAME_HEADER, share, this.#session.h2.dataQuota(this.#stream));
    if (n <= 0 && !(this.#ended && this.#owed === 0)) return 0;
    this.#owed -= Math.max(0, n);
    const last = this.#ended && this.#owed === 0;
    this.#session.h2.writeDataHeader(arena.bytes, offset, this.#stream, Math.max(0, n), last);
    if (last) this.#leave();
    return FRAME_HEADER + Math.max(0, n);
  }

  onHeaders(_headers: HeaderBlock, endStream: boolean): void {
    if (endStream) this.#end();
  }

  onData(start: number, end: number, endStream: boolean): void {
    assert.ok(!this.#over, 'data after the end');
    this.#owed += end - start;
    this.#session.h2.consumed(this.#stream, end - start);
    if (endStream) this.#end();
    else this.#session.wantsToSend(this);
  }

  onReset(): void {
    this.#leave();
  }

  onSendable(): void {
    this.#session.wantsToSend(this);
  }

  onTunnelLost(): void {
    this.#leave();
  }

  #end(): void {
    this.#ended = true;
    this.#session.wantsToSend(this);
  }

  #leave(): void {
    assert.ok(!this.#over, 'ended twice');
    this.#over = true;
    this.#stream.userData = undefined;
    this.#session.streamGone();
  }
}

class Server implements SessionOwner {
  ended = 0;
  streams = 0;
  cause = '';

  onPeer(): string {
    return '';
  }

  onUsable(): void {}

  onRequest(session: Session, stream: H2Stream, headers: HeaderBlock): void {
    this.streams++;
    const authority = headers.isTunnel ? parseAuthority(headers.authority) : undefined;
    parseForwarded(headers.get('forwarded') ?? '');
    parseTraceparent(headers.get('traceparent') ?? '');
    parseBaggage(headers.all('baggage'));
    if (authority !== undefined) {
      session.h2.respond(stream, connectResponse(HboneStatus.ok, 'service.name=echo'), false);
      new Echo(session, stream);
      return;
    }
    session.h2.respond(stream, connectResponse(HboneStatus.badRequest, ''), true);
    session.h2.resetStream(stream, 0);
    session.streamGone();
  }

  onStreamGone(): void {}

  onSessionEnd(_session: Session, cause: string): void {
    this.ended++;
    this.cause = cause;
  }
}

const tunnel = (id: number, more: readonly (readonly [string, string])[] = []): Buffer =>
  headers(id, [[':method', 'CONNECT'], [':authority', '10.0.0.1:8080'], ...more]);
const HELLO = Buffer.concat([settingsFrame([]), settingsAck()]);

fuzz({
  name: 'a tunnel’s server end survives any bytes, tells each stream its end once, and ends itself once',
  corpus: join(import.meta.dirname, 'testdata', 'hbone-server'),
  seeds: [
    Buffer.concat([HELLO, connectFrame(1), dataFrame(1, Buffer.from('hello')), dataFrame(1, Buffer.from('bye'), true)]),
    Buffer.concat([
      HELLO,
      tunnel(1, [
        ['baggage', 'k8s.namespace.name=shop,service.name=cart'],
        ['forwarded', 'for="10.0.0.7:1234";host=web.shop'],
        ['traceparent', '00-11111111111111111111111111111111-2222222222222222-00'],
        ['x-forwarded-network', 'far'],
      ]),
      tunnel(3),
      dataFrame(3, Buffer.alloc(2000)),
      resetFrame(1, 8),
      windowFrame(3, 1000),
      dataFrame(3, Buffer.alloc(0), true),
    ]),
    Buffer.concat([
      HELLO,
      headers(
        1,
        [
          [':method', 'GET'],
          [':scheme', 'http'],
          [':path', '/'],
          [':authority', 'x'],
        ],
        true,
      ),
    ]),
    Buffer.concat([
      HELLO,
      tunnel(1),
      frame(FrameType.goaway, 0, 0, '00000000 00000000'),
      dataFrame(1, Buffer.from('x')),
    ]),
    Buffer.concat([HELLO, tunnel(1), frame(FrameType.ping, 0, 0, '0102030405060708'), settingsFrame([[4, 0]])]),
  ],
  run(input) {
    const owner = new Server();
    const pipe = new Pipe();
    let transport: TransportOwner | undefined;
    const session = new Session(bench, 'server', HBONE_SERVER, owner, (of) => {
      transport = of;
      return pipe;
    });
    transport!.onOpen(null);
    const bytes = bench.receive.bytes as Buffer;
    PREFACE.copy(bytes, 0);
    transport!.onPlaintext(bytes, 0, PREFACE.length);
    for (let at = 0; at < input.length && !pipe.over; at += 300) {
      const n = input.copy(bytes, 0, at, Math.min(input.length, at + 300));
      for (let from = 0; from < n; ) from = transport!.onPlaintext(bytes, from, n);
      loop.turn(0);
    }
    if (!pipe.over) transport!.onTransportEnd('connection ended without notice', false);
    loop.turn(0);
    assert.equal(owner.ended, 1);
    assert.equal(session.state, 'closed');
    assert.equal(bench.blocks.used, 0);
    return `${owner.cause} ${owner.streams} ${pipe.sent >> 8 > 0}`;
  },
});
