// SPDX-License-Identifier: Apache-2.0
// A tunnel as Node's own modules make it: http2 with CONNECT and pipe. node-tunnel.ts client|server FOLDER
import { readFileSync } from 'node:fs';
import { connect as connectHttp2, constants, createSecureServer, type ServerHttp2Stream } from 'node:http2';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { HTTP_PORT, IPERF_PORT, SERVER_IP } from '../fabric.ts';

export const NEAR = { [IPERF_PORT]: 6201, [HTTP_PORT]: 6080 } as const;
const TUNNEL_PORT = 7443;
/** As HBONE has them, so that the windows do not decide. */
const settings = { initialWindowSize: 4 << 20, maxFrameSize: 1 << 20, maxConcurrentStreams: 2000 };

const [role, folder = '.'] = process.argv.slice(2);
if (role === 'client' || role === 'server') {
  const tls = {
    ca: readFileSync(join(folder, 'ca.crt')),
    cert: readFileSync(join(folder, 'peer.crt')),
    key: readFileSync(join(folder, 'peer.key')),
    settings,
  };
  if (role === 'server') serve(tls);
  else enter(tls);
}

function serve(tls: object): void {
  const server = createSecureServer({ ...tls, requestCert: true, rejectUnauthorized: true });
  server.on('session', (session) => session.setLocalWindowSize(16 << 20));
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    const [host, port] = String(headers[constants.HTTP2_HEADER_AUTHORITY]).split(':');
    const socket = connect({ host: host!, port: Number(port), noDelay: true, allowHalfOpen: true }, () => {
      stream.respond({ ':status': 200 });
      socket.pipe(stream);
      stream.pipe(socket);
    });
    socket.on('error', () => stream.destroy());
    stream.on('error', () => socket.destroy());
  });
  server.listen(TUNNEL_PORT, SERVER_IP, () => console.log('up'));
}

function enter(tls: object): void {
  const session = connectHttp2(`https://${SERVER_IP}:${TUNNEL_PORT}`, { ...tls, checkServerIdentity: () => undefined });
  session.on('connect', () => {
    session.setLocalWindowSize(16 << 20);
    for (const [port, near] of Object.entries(NEAR)) {
      createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
        const stream = session.request(
          { ':method': 'CONNECT', ':authority': `${SERVER_IP}:${port}` },
          { endStream: false },
        );
        stream.on('response', () => {
          socket.pipe(stream);
          stream.pipe(socket);
        });
        socket.on('error', () => stream.destroy());
        stream.on('error', () => socket.destroy());
      }).listen(near, '127.0.0.1');
    }
    console.log('up');
  });
}
