// SPDX-License-Identifier: Apache-2.0
// The server side of a pod's port-forward for tests: a WebSocket (RFC 6455) whose messages begin with a channel byte,
// 0 for data and 1 for errors, each channel opened by the port's number. Behind it lies a TCP port on loopback.

import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';

const PROTOCOL = 'v4.channel.k8s.io';
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const BINARY = 0x82;
const CLOSE = 0x88;

/** Answers an upgrade request by joining it to `127.0.0.1:target(port)`; without a target it reports an error. */
export function acceptForward(
  request: IncomingMessage,
  socket: Duplex,
  target: (path: string, port: number) => number | undefined,
): void {
  const url = new URL(request.url ?? '/', 'http://fake');
  const port = Number(url.searchParams.get('ports'));
  const key = request.headers['sec-websocket-key'] ?? '';
  const accept = createHash('sha1')
    .update(key + GUID)
    .digest('base64');
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      `Sec-WebSocket-Accept: ${accept}\r\nSec-WebSocket-Protocol: ${PROTOCOL}\r\n\r\n`,
  );
  const send = (channel: number, data: Uint8Array) => socket.write(frame(Buffer.from([channel, ...data])));
  const number = Buffer.from([port & 0xff, port >> 8]);
  send(0, number);
  send(1, number);
  const end = () => socket.end(Buffer.from([CLOSE, 0]));
  socket.on('error', () => undefined);
  const to = target(url.pathname, port);
  if (to === undefined) {
    send(1, Buffer.from(`nothing listens on port ${port}`));
    return void end();
  }
  const upstream = connect(to, '127.0.0.1');
  upstream.on('data', (data: Buffer) => send(0, data));
  upstream.on('close', end);
  upstream.on('error', (error) => send(1, Buffer.from(error.message)));
  socket.on('close', () => upstream.destroy());
  let pending = Buffer.alloc(0);
  socket.on('data', (data: Buffer) => {
    pending = Buffer.concat([pending, data]);
    for (let read = unframe(pending); read !== undefined; read = unframe(pending)) {
      pending = pending.subarray(read.end);
      if (read.payload[0] === 0 && read.payload.length > 1) upstream.write(read.payload.subarray(1));
    }
  });
}

function frame(payload: Buffer): Buffer {
  if (payload.length < 126) return Buffer.concat([Buffer.from([BINARY, payload.length]), payload]);
  const head = Buffer.alloc(10);
  head[0] = BINARY;
  head[1] = 127;
  head.writeBigUInt64BE(BigInt(payload.length), 2);
  return Buffer.concat([head, payload]);
}

/** The first whole frame of a client (masked), or undefined while it is incomplete. */
function unframe(bytes: Buffer): { readonly payload: Buffer; readonly end: number } | undefined {
  if (bytes.length < 2) return undefined;
  const short = bytes[1]! & 0x7f;
  const extra = short === 126 ? 2 : short === 127 ? 8 : 0;
  if (bytes.length < 6 + extra) return undefined;
  const length = extra === 0 ? short : extra === 2 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
  const start = 6 + extra;
  if (bytes.length < start + length) return undefined;
  const mask = bytes.subarray(2 + extra, start);
  const payload = Buffer.from(bytes.subarray(start, start + length));
  for (let i = 0; i < payload.length; i++) payload[i] = payload[i]! ^ mask[i % 4]!;
  return { payload, end: start + length };
}
