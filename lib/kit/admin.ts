// SPDX-License-Identifier: Apache-2.0
// The small HTTP server behind every program's readiness, metrics and debug pages, and its twin with TLS.
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { promisify } from 'node:util';
import { gzip, zstdCompress } from 'node:zlib';
import { describeError } from './error.ts';

export interface AdminRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
  /** Address of the caller, without its port. */
  readonly remote: string;
}

export interface Reply {
  readonly status?: number;
  readonly type?: string;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Large and asked for often: sent compressed to whoever takes that. */
  readonly compressible?: boolean;
}

export type Route = (request: AdminRequest) => Reply | Promise<Reply>;

export interface AdminServer extends AsyncDisposable {
  readonly port: number;
  close(): Promise<void>;
}

export interface AdminOptions {
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  /** Exact paths; a key that ends in `/` also serves everything below it. */
  readonly routes: Readonly<Record<string, Route>>;
}

/** Encodings of answers, the one we like best first. */
const CODERS = {
  zstd: promisify<string, Buffer>(zstdCompress),
  gzip: promisify<string, Buffer>(gzip),
} as const;

/** The best encoding that an Accept-Encoding header takes (RFC 9110 section 12.5.3); undefined for none. */
export function encodingFor(accepted: string): keyof typeof CODERS | undefined {
  const weights = new Map<string, number>();
  for (const item of accepted.split(',')) {
    const [name = '', ...parameters] = item.split(';').map((part) => part.trim().toLowerCase());
    const q = parameters.find((parameter) => parameter.startsWith('q='));
    weights.set(name, q === undefined ? 1 : Number(q.slice(2)) || 0);
  }
  const weightOf = (name: string): number => weights.get(name) ?? weights.get('*') ?? 0;
  const best = (['zstd', 'gzip'] as const).toSorted((a, b) => weightOf(b) - weightOf(a))[0]!;
  return weightOf(best) > 0 ? best : undefined;
}

/** An admission review holds an object twice, at most 1.5 MiB each. */
const MAX_BODY_BYTES = 4 << 20;

export const json = (value: unknown, status = 200): Reply => ({
  status,
  type: 'application/json',
  body: `${JSON.stringify(value, null, 2)}\n`,
});

export const text = (body: string, status = 200): Reply => ({ status, type: 'text/plain; charset=utf-8', body });

/** Certificate chain and key in PEM. */
export interface TlsMaterial {
  readonly cert: string;
  readonly key: string;
}

/** Starts serving; rejects when the port cannot be bound. */
export async function serveHttp({ host, port, routes }: AdminOptions): Promise<AdminServer> {
  return await listen(createServer(listenerOf(routes)), host, port);
}

/** The same over TLS; `renew` gives new connections another certificate. */
export async function serveHttps(
  options: AdminOptions & TlsMaterial,
): Promise<AdminServer & { renew(material: TlsMaterial): void }> {
  const { cert, host, key, port, routes } = options;
  const server = createTlsServer({ cert, key, minVersion: 'TLSv1.2' }, listenerOf(routes));
  const listening = await listen(server, host, port);
  return { ...listening, renew: (material) => server.setSecureContext({ ...material, minVersion: 'TLSv1.2' }) };
}

function listenerOf(routes: AdminOptions['routes']): RequestListener {
  return (request, response) => {
    send(routes, request, response).catch((error: unknown) => response.writeHead(500).end(`${describeError(error)}\n`));
  };
}

async function listen(server: Server, host: string, port: number): Promise<AdminServer> {
  server.headersTimeout = 2000;
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, host, resolve));
  const close = async (): Promise<void> => {
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  };
  return { port: (server.address() as AddressInfo).port, close, [Symbol.asyncDispose]: close };
}

async function send(routes: AdminOptions['routes'], request: IncomingMessage, response: ServerResponse): Promise<void> {
  const reply = await answer(routes, request);
  const { body, headers = {}, status = 200, type = 'text/plain; charset=utf-8' } = reply;
  if (reply.compressible !== true) {
    response.writeHead(status, { 'content-type': type, ...headers }).end(body);
    return;
  }
  const encoding = encodingFor(String(request.headers['accept-encoding'] ?? ''));
  const coded = encoding === undefined ? body : await CODERS[encoding](body);
  const coding = encoding === undefined ? {} : { 'content-encoding': encoding };
  response.writeHead(status, { 'content-type': type, vary: 'accept-encoding', ...coding, ...headers }).end(coded);
}

async function answer(routes: AdminOptions['routes'], request: IncomingMessage): Promise<Reply> {
  const url = new URL(request.url ?? '/', 'http://admin');
  const route = routes[url.pathname] ?? longestPrefix(routes, url.pathname);
  if (route === undefined) return { status: 404, body: 'not found\n' };
  const body = await readBody(request);
  return await route({
    method: request.method ?? 'GET',
    path: url.pathname,
    query: url.searchParams,
    headers: request.headers,
    body,
    remote: request.socket.remoteAddress ?? '',
  });
}

function longestPrefix(routes: AdminOptions['routes'], path: string): Route | undefined {
  const keys = Object.keys(routes).filter((key) => key !== '/' && key.endsWith('/') && path.startsWith(key));
  const best = keys.sort((a, b) => b.length - a.length)[0];
  return best === undefined ? undefined : routes[best];
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) throw new Error(`request body over ${MAX_BODY_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
