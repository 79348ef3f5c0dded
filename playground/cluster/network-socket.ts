// SPDX-License-Identifier: Apache-2.0
// A door into the cluster's network for an API server that runs outside it: an HTTP CONNECT proxy at a Unix socket,
// what Kubernetes calls an egress proxy. Only who may open the socket gets in.
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { connect } from 'node:net';

/** Serves at `path` until closed. */
export async function serveNetworkSocket(path: string): Promise<Server> {
  rmSync(path, { force: true });
  const server = createServer((_request, response) => void response.writeHead(405).end());
  server.on('connect', (request, client, head) => {
    const [, host = '', port = ''] = /^\[?([^\]]+?)\]?:(\d+)$/.exec(request.url ?? '') ?? [];
    const target = connect({ host, port: Number(port), allowHalfOpen: true });
    let connected = false;
    client.on('error', () => target.destroy());
    client.on('close', () => target.destroy());
    target.on('close', () => client.destroy());
    target.on('error', () => {
      if (!connected) client.end('HTTP/1.1 502 Bad Gateway\r\n\r\n');
    });
    target.on('connect', () => {
      connected = true;
      target.setNoDelay(true);
      client.write('HTTP/1.1 200 OK\r\n\r\n');
      if (head.length > 0) target.write(head);
      target.pipe(client);
      client.pipe(target);
    });
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(path, () => resolve()));
  chmodSync(path, 0o600);
  return server;
}
