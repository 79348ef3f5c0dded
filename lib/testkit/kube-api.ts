// SPDX-License-Identifier: Apache-2.0
// A small Kubernetes API for tests of clients and controllers: any kind, in memory, on loopback. It has listing with
// pages, watches with bookmarks and 410, create, replace, merge patch, a simple apply, status, TokenReview; and knobs
// to make it fail. It checks nothing: for a server that does, see the playground's.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { KubeObject, TokenReview } from '#lib/kube/object.ts';
import { acceptForward } from './kube-forward.ts';
import { filterOf, keyOf, merge, type Place, placeOf, type Stored } from './kube-request.ts';

type Review = NonNullable<TokenReview['status']>;

interface HistoryEntry {
  readonly version: number;
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly collection: string;
  readonly object: Stored;
}

interface Watcher {
  readonly place: Place;
  readonly matches: (object: Stored) => boolean;
  readonly response: ServerResponse;
}

/** A request as a test may look at it afterwards. */
export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  /** The token that it came with; '' without one. */
  readonly token: string;
}

export class FakeKubeApi {
  readonly requests: SeenRequest[] = [];
  /** Answers to TokenReview by token; an unknown token is not authenticated. */
  readonly tokens = new Map<string, Review>();
  /** Answers at paths outside the resources: `/openid/v1/jwks`. */
  readonly documents = new Map<string, unknown>();
  /** When set, decides about a request before it is served: a status to refuse it with. */
  refuse: ((request: SeenRequest) => number | undefined) | undefined;
  /** What it says then. */
  refusal = 'refused by the test';
  /** Where a port-forward to a pod's port ends: a port on loopback, or nowhere. */
  forward: (podPath: string, port: number) => number | undefined = () => undefined;
  readonly #upgraded = new Set<Duplex>();
  #version = 100;
  #oldest = 0;
  readonly #objects = new Map<string, Map<string, Stored>>();
  readonly #history: HistoryEntry[] = [];
  readonly #watchers = new Set<Watcher>();
  #server: Server | undefined;
  #port = 0;
  #away = false;

  /** Listens on loopback; after `stop`, serves the same objects there again. */
  async start(): Promise<void> {
    this.#away = false;
    if (this.#server !== undefined) return;
    const server = createServer((request, response) => {
      this.#serve(request, response).catch((error: unknown) => {
        if (!response.headersSent) refusal(response, 500, String(error));
        response.end();
      });
    });
    server.on('connection', (socket) => {
      if (this.#away) socket.resetAndDestroy();
    });
    // Longer than clients keep idle connections: none is closed under a request, however busy the machine is.
    server.keepAliveTimeout = 120_000;
    server.on('upgrade', (request, socket: Duplex) => {
      this.#upgraded.add(socket);
      socket.once('close', () => this.#upgraded.delete(socket));
      acceptForward(request, socket, this.forward);
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject).listen(0, '127.0.0.1', resolve);
    });
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  /** Cuts every connection, and new ones at once, as a crash would. The port stays ours: another test might take it. */
  async stop(): Promise<void> {
    this.#away = true;
    this.#watchers.clear();
    for (const socket of this.#upgraded) socket.destroy();
    this.#server?.closeAllConnections();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await new Promise((resolve) => (this.#server === undefined ? resolve(0) : this.#server.close(resolve)));
    this.#server = undefined;
  }

  /** The text of a kubeconfig that leads here. */
  get kubeconfig(): string {
    return JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'fake', cluster: { server: `http://127.0.0.1:${this.#port}` } }],
      users: [{ name: 'fake', user: {} }],
      contexts: [{ name: 'fake', context: { cluster: 'fake', user: 'fake' } }],
      'current-context': 'fake',
    });
  }

  get watching(): number {
    return this.#watchers.size;
  }

  /** Stores an object as if somebody had applied it. `collection` is `/api/v1/pods` or `/apis/GROUP/VERSION/PLURAL`. */
  put<T extends KubeObject>(collection: string, object: T): T {
    return this.#store(collection, object as unknown as Stored) as unknown as T;
  }

  remove(collection: string, namespace: string | undefined, name: string): void {
    const objects = this.#collection(collection);
    const key = keyOf(namespace, name);
    const old = objects.get(key);
    if (old === undefined) return;
    objects.delete(key);
    this.#record('DELETED', collection, {
      ...old,
      metadata: { ...old.metadata, resourceVersion: String(++this.#version) },
    });
  }

  find<T extends KubeObject>(collection: string, namespace: string | undefined, name: string): T | undefined {
    return this.#collection(collection).get(keyOf(namespace, name)) as T | undefined;
  }

  all<T extends KubeObject>(collection: string): T[] {
    return [...this.#collection(collection).values()] as unknown as T[];
  }

  /** Forgets all history: watches from before answer 410. */
  expire(): void {
    this.#history.length = 0;
    this.#oldest = ++this.#version;
  }

  /** Ends all watches as a server does when their time is over. */
  endWatches(): void {
    for (const { response } of this.#watchers) response.end();
    this.#watchers.clear();
  }

  /** Tells every watch how far the server is. */
  bookmark(): void {
    for (const watcher of this.#watchers) {
      this.#send(watcher, 'BOOKMARK', { metadata: { resourceVersion: String(this.#version) } });
    }
  }

  #collection(path: string): Map<string, Stored> {
    const found = this.#objects.get(path) ?? new Map<string, Stored>();
    this.#objects.set(path, found);
    return found;
  }

  #store(collection: string, given: Stored): Stored {
    const objects = this.#collection(collection);
    const key = keyOf(given.metadata.namespace, given.metadata.name);
    const old = objects.get(key);
    const object: Stored = {
      ...given,
      metadata: {
        ...given.metadata,
        uid: old?.metadata.uid ?? given.metadata.uid ?? `uid-${this.#version}`,
        creationTimestamp:
          old?.metadata.creationTimestamp ?? given.metadata.creationTimestamp ?? '2026-01-01T00:00:00Z',
        resourceVersion: String(++this.#version),
      },
    };
    objects.set(key, object);
    this.#record(old === undefined ? 'ADDED' : 'MODIFIED', collection, object);
    return object;
  }

  #record(type: HistoryEntry['type'], collection: string, object: Stored): void {
    this.#history.push({ version: Number(object.metadata.resourceVersion), type, collection, object });
    for (const watcher of this.#watchers) {
      if (watcher.place.collection === collection && watcher.matches(object)) this.#send(watcher, type, object);
    }
  }

  #send(watcher: Watcher, type: string, object: unknown): void {
    watcher.response.write(`${JSON.stringify({ type, object })}\n`);
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<undefined> {
    const url = new URL(request.url ?? '/', 'http://fake');
    const token = (request.headers.authorization ?? '').replace(/^Bearer /, '');
    const seen = { method: request.method ?? 'GET', path: url.pathname, query: url.searchParams, token };
    this.requests.push(seen);
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString('utf8');
    const body = text === '' ? {} : (JSON.parse(text) as Record<string, unknown>);
    const status = this.refuse?.(seen);
    if (status !== undefined) return refusal(response, status, this.refusal);
    const document = this.documents.get(url.pathname);
    if (document !== undefined) return reply(response, 200, document);
    const place = placeOf(url.pathname);
    if (place === undefined) return refusal(response, 404, 'no such path');
    if (place.collection.endsWith('/tokenreviews')) return reply(response, 201, this.#review(body));
    if (seen.method !== 'GET') return this.#write(seen.method, place, body, response);
    if (place.name !== undefined) return this.#one(place, response);
    if (url.searchParams.get('watch') === 'true') return this.#watch(place, url.searchParams, response);
    return this.#list(place, url.searchParams, response);
  }

  #review(body: Record<string, unknown>): unknown {
    const token = (body['spec'] as { token?: string } | undefined)?.token ?? '';
    return {
      ...body,
      metadata: { name: '' },
      status: this.tokens.get(token) ?? { authenticated: false, error: 'unknown token' },
    };
  }

  #one(place: Place, response: ServerResponse): undefined {
    const found = this.#collection(place.collection).get(keyOf(place.namespace, place.name ?? ''));
    if (found === undefined) refusal(response, 404, `${place.name} not found`);
    else reply(response, 200, found);
  }

  #list(place: Place, query: URLSearchParams, response: ServerResponse): undefined {
    const matches = filterOf(place, query);
    const items = this.all<Stored>(place.collection).filter(matches);
    const from = Number(query.get('continue') ?? 0);
    const limit = Number(query.get('limit') ?? 0);
    const to = limit > 0 ? from + limit : items.length;
    reply(response, 200, {
      metadata: { resourceVersion: String(this.#version), ...(to < items.length ? { continue: String(to) } : {}) },
      items: items.slice(from, to),
    });
  }

  #watch(place: Place, query: URLSearchParams, response: ServerResponse): undefined {
    const from = Number(query.get('resourceVersion') ?? 0);
    response.writeHead(200, { 'content-type': 'application/json' });
    const watcher = { place, matches: filterOf(place, query), response };
    if (from < this.#oldest) {
      this.#send(watcher, 'ERROR', { code: 410, reason: 'Expired', message: 'too old resource version' });
      response.end();
      return;
    }
    response.flushHeaders();
    for (const { version, type, collection, object } of this.#history) {
      if (version > from && collection === place.collection && watcher.matches(object))
        this.#send(watcher, type, object);
    }
    this.#watchers.add(watcher);
    response.on('close', () => this.#watchers.delete(watcher));
  }

  #write(method: string, place: Place, body: Record<string, unknown>, response: ServerResponse): undefined {
    const objects = this.#collection(place.collection);
    const given = { ...body, metadata: { ...(body['metadata'] as object) } } as Stored;
    const name = place.name ?? given.metadata.name ?? '';
    const old = objects.get(keyOf(place.namespace, name));
    switch (method) {
      case 'POST': {
        if (old !== undefined) return refusal(response, 409, `${name} already exists`);
        const metadata = {
          ...given.metadata,
          name,
          ...(place.namespace === undefined ? {} : { namespace: place.namespace }),
        };
        return reply(response, 201, this.#store(place.collection, { ...given, metadata }));
      }
      case 'PUT': {
        if (old === undefined) return refusal(response, 404, `${name} not found`);
        const version = given.metadata.resourceVersion;
        if (version !== undefined && version !== old.metadata.resourceVersion) {
          return refusal(response, 409, 'the object has been modified');
        }
        return reply(response, 200, this.#store(place.collection, given));
      }
      case 'PATCH': {
        const base = old ?? ({ metadata: { name, namespace: place.namespace } } as Stored);
        return reply(response, 200, this.#store(place.collection, merge(base, body) as Stored));
      }
      default:
        if (old === undefined) return refusal(response, 404, `${name} not found`);
        this.remove(place.collection, place.namespace, name);
        return reply(response, 200, { kind: 'Status', status: 'Success' });
    }
  }
}

function reply(response: ServerResponse, status: number, body: unknown): undefined {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

function refusal(response: ServerResponse, status: number, message: string): undefined {
  reply(response, status, { kind: 'Status', status: 'Failure', code: status, message });
}
