// SPDX-License-Identifier: Apache-2.0
// The HTTPS front: authenticates, authorises and routes each request; streams and upgrades included.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Logger } from '#lib/kit/log.ts';
import type { AuditLog } from './audit.ts';
import { type Authenticator, impersonation } from './auth/authenticate.ts';
import type { Authorizer } from './auth/authorizer.ts';
import type { KeyPair } from './auth/pki.ts';
import type { User } from './auth/user.ts';
import type { Paths } from './http/paths.ts';
import { type RequestInfo, requestInfo } from './http/request-info.ts';
import { asApiError, sendError } from './http/respond.ts';
import type { UpstreamProxy } from './http/upstream.ts';
import { CONNECTING, type Connector } from './registry/connect.ts';
import type { ResourceHandler } from './registry/handler.ts';

export interface ServerParts {
  readonly serving: KeyPair;
  readonly caCert: string;
  readonly authenticator: Authenticator;
  readonly authorizer: Authorizer;
  readonly resources: ResourceHandler;
  readonly connector: Connector;
  readonly upstream: UpstreamProxy;
  readonly paths: Paths;
  /** Told of every request when it is over. */
  readonly count: (method: string, status: number) => void;
  readonly audit: AuditLog;
  readonly log: Logger;
}

export class ApiServer {
  readonly #parts: ServerParts;
  readonly #server: Server;

  constructor(parts: ServerParts) {
    this.#parts = parts;
    this.#server = createServer(
      {
        cert: parts.serving.cert,
        key: parts.serving.key,
        ca: parts.caCert,
        requestCert: true,
        rejectUnauthorized: false,
        minVersion: 'TLSv1.2',
        // Longer than clients keep idle connections (Go: 90 s), so that none is closed under a request.
        keepAliveTimeout: 120_000,
      },
      (request, response) => void this.#serve(request, response),
    );
    // Watches and execs last as long as their clients want.
    this.#server.requestTimeout = 0;
    this.#server.on(
      'upgrade',
      (request: IncomingMessage, socket: Duplex, head: Buffer) => void this.#upgrade(request, socket, head),
    );
    this.#server.on('tlsClientError', (error: Error) =>
      parts.log.debug('TLS handshake failed', { error: error.message }),
    );
  }

  /** Listens and returns the port. */
  listen(host: string, port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, () => {
        this.#server.off('error', reject);
        resolve((this.#server.address() as AddressInfo).port);
      });
    });
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const what = `${request.method} ${request.url}`;
    response.once('close', () => this.#parts.count(request.method ?? '', response.statusCode));
    try {
      const { url, info, user } = await this.#admit(request);
      response.once('finish', () => this.#parts.audit.record(info, user, response.statusCode));
      if (info.kind === 'path') return await this.#parts.paths.serve(info, request, response, url);
      if (CONNECTING.has(info.subresource))
        return this.#parts.upstream.forward(
          request,
          response,
          this.#parts.connector.upstreamOf(info, url.searchParams),
        );
      await this.#parts.resources.handle(info, user, request, response, url);
    } catch (error) {
      sendError(response, error, this.#parts.log, what);
    }
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on('error', () => socket.destroy());
    try {
      const { url, info } = await this.#admit(request);
      if (info.kind !== 'resource' || !CONNECTING.has(info.subresource))
        return void socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n');
      this.#parts.upstream.upgrade(request, socket, head, this.#parts.connector.upstreamOf(info, url.searchParams));
    } catch (error) {
      const known = asApiError(error, this.#parts.log, `upgrade ${request.url}`);
      const body = JSON.stringify(known.toStatus());
      socket.end(
        `HTTP/1.1 ${known.status} ${known.reason}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
      );
    }
  }

  /** Reads what is asked for and by whom; throws 401 or 403. */
  async #admit(request: IncomingMessage): Promise<{ url: URL; info: RequestInfo; user: User }> {
    const { authenticator, authorizer } = this.#parts;
    const url = new URL(request.url ?? '/', 'https://api');
    const info = requestInfo(request.method ?? 'GET', url);
    let user = await authenticator.authenticate(request);
    const other = impersonation(request.headers);
    if (other) {
      for (const action of other.needs) authorizer.check(user, action);
      user = other.user;
    }
    // Exec, attach and port-forward by WebSocket come as GET but are a `create`, as by SPDY.
    const verb =
      info.kind === 'resource' && info.verb === 'get' && ['exec', 'attach', 'portforward'].includes(info.subresource)
        ? 'create'
        : info.verb;
    authorizer.check(user, { ...info, verb });
    return { url, info, user };
  }
}
