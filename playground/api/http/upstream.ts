// SPDX-License-Identifier: Apache-2.0
// Requests that the API server only passes on: to a node's kubelet (log, exec, attach, port-forward, node proxy) and to
// pods and services (proxy). Upgrades (WebSocket, SPDY) are passed as raw bytes, whatever protocol they switch to.
import { type ClientRequest, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIPv6 } from 'node:net';
import type { Duplex } from 'node:stream';
import type { KeyPair } from '../auth/pki.ts';
import { connectionBy, type Dial } from './dial.ts';

export interface Upstream {
  readonly tls: boolean;
  readonly host: string;
  readonly port: number;
  readonly path: string;
}

/** Headers that belong to one hop, and the caller's credentials, which stay here. */
const DROPPED = new Set([
  'authorization',
  'host',
  'keep-alive',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'impersonate-user',
  'impersonate-group',
  'impersonate-uid',
]);

export class UpstreamProxy {
  readonly #client: KeyPair;
  readonly #dial: Dial;

  /** `client`: the certificate by which kubelets know the API server. */
  constructor(client: KeyPair, dial: Dial) {
    this.#client = client;
    this.#dial = dial;
  }

  /** Passes one request on and its answer back. */
  forward(incoming: IncomingMessage, outgoing: ServerResponse, upstream: Upstream): void {
    const request = this.#open(incoming, upstream, false);
    request.on('response', (response) => {
      outgoing.writeHead(response.statusCode ?? 502, response.headers);
      outgoing.flushHeaders();
      response.pipe(outgoing);
      response.on('error', () => outgoing.destroy());
    });
    request.on('error', (error) => fail(outgoing, upstream, error));
    outgoing.on('close', () => request.destroy());
    incoming.pipe(request);
  }

  /** Passes an upgrade on; afterwards both sockets are one pipe. */
  upgrade(incoming: IncomingMessage, socket: Duplex, head: Buffer, upstream: Upstream): void {
    const request = this.#open(incoming, upstream, true);
    socket.on('error', () => request.destroy());
    request.on('upgrade', (response, target, targetHead) => {
      socket.write(`HTTP/1.1 101 Switching Protocols\r\n${rawHeaders(response)}\r\n`);
      if (targetHead.length > 0) socket.write(targetHead);
      if (head.length > 0) target.write(head);
      target.on('error', () => socket.destroy());
      socket.on('error', () => target.destroy());
      socket.on('close', () => target.destroy());
      target.on('close', () => socket.destroy());
      target.pipe(socket);
      socket.pipe(target);
    });
    request.on('response', (response) => {
      socket.write(
        `HTTP/1.1 ${response.statusCode} ${response.statusMessage ?? ''}\r\n${rawHeaders(response, true)}connection: close\r\n\r\n`,
      );
      response.pipe(socket);
    });
    request.on('error', (error) => {
      const body = errorBody(upstream, error);
      socket.end(
        `HTTP/1.1 502 Bad Gateway\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
      );
    });
    request.end();
  }

  #open(incoming: IncomingMessage, { tls, host, port, path }: Upstream, upgrade: boolean): ClientRequest {
    const headers: Record<string, string[]> = {};
    // Not joined: SPDY clients offer their protocols in one header each.
    for (const [name, value] of Object.entries(incoming.headersDistinct))
      if (
        value !== undefined &&
        !DROPPED.has(name) &&
        !name.startsWith('impersonate-extra-') &&
        (upgrade || (name !== 'connection' && name !== 'upgrade'))
      )
        headers[name] = value;
    const protocols = headers['sec-websocket-protocol'];
    if (protocols) headers['sec-websocket-protocol'] = [withoutBearer(protocols.join(','))];
    // Kubelets serve self-signed certificates; like a real API server without a kubelet CA we do not check them.
    const trust = tls ? { cert: this.#client.cert, key: this.#client.key, rejectUnauthorized: false } : undefined;
    const createConnection = connectionBy(this.#dial, host, port, trust);
    const authority = `${isIPv6(host) ? `[${host}]` : host}:${port}`;
    return (tls ? httpsRequest : httpRequest)({
      method: incoming.method ?? 'GET',
      path,
      headers: { ...headers, host: authority },
      createConnection,
    });
  }
}

/** Browsers hide a bearer token among the WebSocket protocols; it is ours to read, not the kubelet's. */
const withoutBearer = (protocols: string): string =>
  protocols
    .split(',')
    .map((name) => name.trim())
    .filter((name) => !name.startsWith('base64url.bearer.authorization.k8s.io.'))
    .join(', ');

function rawHeaders(response: IncomingMessage, dropConnection = false): string {
  let text = '';
  for (let index = 0; index < response.rawHeaders.length; index += 2) {
    const name = response.rawHeaders[index]!;
    if (dropConnection && /^(connection|transfer-encoding)$/i.test(name)) continue;
    text += `${name}: ${response.rawHeaders[index + 1]!}\r\n`;
  }
  return text;
}

const errorBody = ({ host, port }: Upstream, error: Error): string =>
  JSON.stringify({
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: `error dialing backend: dial ${host}:${port}: ${error.message}`,
    reason: 'InternalError',
    code: 502,
  });

function fail(outgoing: ServerResponse, upstream: Upstream, error: Error): void {
  if (outgoing.headersSent) return void outgoing.destroy();
  outgoing.writeHead(502, { 'content-type': 'application/json' });
  outgoing.end(errorBody(upstream, error));
}
