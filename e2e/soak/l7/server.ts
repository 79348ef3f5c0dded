// SPDX-License-Identifier: Apache-2.0
// The service behind the soaked waypoint: server.ts VERSION. HTTP/1.1 and WebSocket echo on 8080, HTTP/2 without TLS on 9090, where a
// request of content type application/grpc is answered message by message. After SIGTERM it goes on for a while, as a service does
// that knows that others learn of its end later than it does.
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createHttp2Server, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import type { Duplex } from 'node:stream';

const [version = 'v1'] = process.argv.slice(2);
const ENDING_MS = 4000;
/** RFC 6455 section 1.3. */
const WEBSOCKET = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

const http1 = createServer(answer).on('upgrade', echo).listen(8080);
const http2 = createHttp2Server()
  .on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    stream.on('error', () => stream.destroy());
    if (headers['content-type'] !== 'application/grpc') {
      stream.respond({ ':status': 200, 'x-version': version });
      stream.end('here\n');
      return;
    }
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.pipe(stream);
  })
  .listen(9090);

// Process 1 of a container has no default action for SIGTERM.
process.on('SIGTERM', () =>
  setTimeout(() => {
    http1.close();
    http2.close();
    process.exit(0);
  }, ENDING_MS),
);

function answer(request: IncomingMessage, response: ServerResponse): void {
  response.setHeader('x-version', version);
  request.pipe(response);
}

/** Gives back each short text frame of a client. */
function echo(request: IncomingMessage, socket: Duplex): void {
  const accept = createHash('sha1').update(`${request.headers['sec-websocket-key']}${WEBSOCKET}`).digest('base64');
  socket.on('error', () => socket.destroy());
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
  );
  let held = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    held = Buffer.concat([held, chunk]);
    while (held.length >= 6 && held.length >= 6 + (held[1]! & 0x7f)) {
      const end = 6 + (held[1]! & 0x7f);
      const mask = held.subarray(2, 6);
      const text = held.subarray(6, end).map((octet, i) => octet ^ mask[i % 4]!);
      socket.write(Buffer.concat([Buffer.from([held[0]!, text.length]), text]));
      held = held.subarray(end);
    }
  });
}
