// SPDX-License-Identifier: Apache-2.0
// The engine's cost per frame: node lib/wire/h2/connection.bench.ts. The product's promises: 20 Gbit/s of DATA and a
// million small frames a second on one core, nothing allocated per DATA frame.
import { bench, run } from 'mitata';
import { connectFrame, dataFrame, settingsAck, settingsFrame, windowFrame } from '#lib/testkit/h2-peer.ts';
import { H2Connection } from './connection.ts';
import type { H2Handler } from './handler.ts';
import { HeaderBlock } from './headers.ts';
import { GrowingOutput } from './output.ts';
import { PREFACE } from './protocol.ts';
import { HBONE_CLIENT, HBONE_SERVER } from './settings.ts';
import type { H2Stream } from './stream.ts';

/** A handler that takes everything at once and answers 200. */
class Sink implements H2Handler {
  octets = 0;
  readonly streams: H2Stream[] = [];
  connection!: H2Connection;
  onHeaders(stream: H2Stream, headers: HeaderBlock): void {
    if (headers.method !== '') this.streams.push(stream);
  }
  onData(stream: H2Stream, _buffer: Buffer, start: number, end: number): void {
    this.octets += end - start;
    this.connection.consumed(stream, end - start);
  }
  onReset(): void {}
  onGoaway(): void {}
  onSettings(): void {}
  onPong(): void {}
  onSendable(): void {}
  onRefused(): void {}
  onDrained(): void {}
  onConnectionError(_code: number, reason: string): void {
    throw new Error(reason);
  }
}

function server(streams: number): { connection: H2Connection; sink: Sink; output: GrowingOutput } {
  const sink = new Sink();
  const output = new GrowingOutput();
  const connection = new H2Connection('server', HBONE_SERVER, sink, output);
  sink.connection = connection;
  connection.start();
  feed(connection, PREFACE, settingsFrame([[4, 1 << 30]]), settingsAck(), windowFrame(0, 1 << 30));
  for (let i = 0; i < streams; i++) feed(connection, connectFrame(2 * i + 1));
  return { connection, sink, output };
}

function feed(connection: H2Connection, ...parts: Buffer[]): void {
  for (const part of parts) connection.receive(part, 0, part.length);
}

/** Frames of one size, one after another on several streams. */
function frames(size: number, count: number, streams: number): Buffer {
  return Buffer.concat(Array.from({ length: count }, (_, i) => dataFrame(2 * (i % streams) + 1, Buffer.alloc(size))));
}

for (const [size, count, streams] of [
  [64, 1000, 1],
  [64, 1000, 100],
  [16_384, 16, 8],
  [65_536, 4, 1],
] as const) {
  const { connection, output } = server(streams);
  const bytes = frames(size, count, streams);
  bench(`receive ${count} DATA of ${size} octets on ${streams} streams`, () => {
    connection.receive(bytes, 0, bytes.length);
    output.offset = 0;
  });
}

{
  const { connection, sink, output } = server(100);
  for (const stream of sink.streams) connection.respond(stream, HeaderBlock.response(200), false);
  const grant = Buffer.concat([windowFrame(0, 64_000), ...sink.streams.map(({ id }) => windowFrame(id, 640))]);
  const target = Buffer.alloc(9);
  bench('write 1000 DATA headers of 64 octets on 100 streams, windows renewed', () => {
    for (let round = 0; round < 10; round++)
      for (const stream of sink.streams)
        connection.writeDataHeader(target, 0, stream, Math.min(64, connection.dataQuota(stream)), false);
    connection.receive(grant, 0, grant.length);
    output.offset = 0;
  });
}

{
  const output = new GrowingOutput();
  const back = new GrowingOutput();
  const own = new Sink();
  const far = new Sink();
  const client = new H2Connection('client', HBONE_CLIENT, own, output);
  const peer = new H2Connection('server', HBONE_SERVER, far, back);
  const exchange = (): void => {
    peer.receive(output.buffer, 0, output.offset);
    output.offset = 0;
    client.receive(back.buffer, 0, back.offset);
    back.offset = 0;
  };
  own.connection = client;
  far.connection = peer;
  client.start();
  peer.start();
  exchange();
  exchange();
  const request = HeaderBlock.request('CONNECT', '', '10.244.1.23:8080', '')
    .add('baggage', 'k8s.cluster.name=Kubernetes,k8s.namespace.name=shop,k8s.deployment.name=cart,service.name=cart')
    .add('forwarded', 'for="10.244.0.7:41234"')
    .add('traceparent', '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00');
  const response = HeaderBlock.response(200).add('baggage', 'k8s.namespace.name=shop,service.name=checkout');
  bench('a tunnel opened, answered and ended on both sides (both engines)', () => {
    const stream = client.request(request, false)!;
    exchange();
    const theirs = far.streams.pop()!;
    peer.respond(theirs, response, false);
    exchange();
    client.endStream(stream);
    peer.endStream(theirs);
    exchange();
  });
}

await run();
