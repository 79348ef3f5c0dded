// SPDX-License-Identifier: Apache-2.0
// A Kubernetes API over a set of objects, inside the process: as much of one as istiod asks for. So everything that
// reads or writes the cluster does the same without one.

import { own } from '#lib/kit/table.ts';
import { KubeError } from '#lib/kube/error.ts';
import { type GenericObject, objectKey } from '#lib/kube/object.ts';
import type { Transport, TransportAnswer, TransportRequest } from '#lib/kube/transport.ts';
import type { ObjectSet } from './objects.ts';
import { applied, mergePatched } from './patch.ts';
import type { Stored, TableEvent } from './table.ts';
import { reviewToken } from './tokens.ts';

/** What a path of the API names. */
interface Place {
  readonly group: string;
  readonly version: string;
  readonly collection: string;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  readonly subresource: string | undefined;
}

const PATH = /^\/(?:api|apis\/([^/]+))\/([^/]+)(?:\/namespaces\/([^/]+)(?=\/))?\/([^/]+)(?:\/([^/]+))?(?:\/([^/]+))?$/;

class Refusal extends Error {
  readonly status: number;
  readonly reason: string;

  constructor(status: number, reason: string, message: string) {
    super(message);
    this.status = status;
    this.reason = reason;
  }
}

export class FolderApi implements Transport {
  readonly #objects: ObjectSet;
  readonly #ready: () => boolean;
  readonly #closed = new AbortController();

  /** @param ready whether the files have been read once: until then nobody is told that there is nothing */
  constructor(objects: ObjectSet, ready: () => boolean) {
    this.#objects = objects;
    this.#ready = ready;
  }

  async send(request: TransportRequest): Promise<TransportAnswer> {
    if (!this.#ready()) {
      throw new KubeError('KUBE_UNREACHABLE', 'the folder of objects could not be read yet', { status: 0 });
    }
    try {
      const url = new URL(request.path, 'http://folder');
      if (url.pathname === '/readyz') return answer(200, 'ok');
      const place = placeIn(url.pathname);
      if (request.method === 'GET' && url.searchParams.get('watch') === 'true') {
        return this.#watch(place, url.searchParams, request.signal);
      }
      return answer(200, JSON.stringify(this.#serve(request, place, url.searchParams)));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const { message, reason, status } = error;
      return answer(status, JSON.stringify({ kind: 'Status', status: 'Failure', code: status, reason, message }));
    }
  }

  async close(): Promise<void> {
    this.#closed.abort();
  }

  #serve({ body = '{}', contentType, method }: TransportRequest, place: Place, query: URLSearchParams): unknown {
    const given = JSON.parse(body) as GenericObject;
    if (method === 'GET' && place.name === undefined) return this.#list(place, query);
    if (method === 'POST') return this.#create(place, given);
    return this.#named(method, place, given, contentType?.includes('apply') === true, query);
  }

  #named(
    method: Exclude<TransportRequest['method'], 'POST'>,
    place: Place,
    given: GenericObject,
    applies: boolean,
    query: URLSearchParams,
  ): unknown {
    const { collection } = place;
    const key = keyIn(place);
    const known = this.#objects.table.get(collection, key);
    if (known === undefined) {
      if (method === 'PATCH' && applies && place.subresource === undefined) {
        return this.#objects.write(collection, key, given);
      }
      throw new Refusal(404, 'NotFound', `${collection} ${key} does not exist`);
    }
    switch (method) {
      case 'GET':
        return known;
      case 'DELETE':
        this.#own(collection, key);
        return this.#objects.remove(collection, key);
      case 'PUT':
        fresh(known, given);
        return this.#store(place, key, given);
      case 'PATCH': {
        fresh(known, given);
        const merged = applies
          ? applied(known, given, query.get('fieldManager') ?? '')
          : (mergePatched(known, given) as GenericObject);
        return this.#store(place, key, merged);
      }
    }
  }

  #store({ collection, subresource }: Place, key: string, next: GenericObject): Stored {
    if (subresource === 'status') {
      const stored = this.#objects.writeStatus(collection, key, next.status ?? {});
      if (stored !== undefined) return stored;
    }
    this.#own(collection, key);
    return this.#objects.write(collection, key, next);
  }

  #own(collection: string, key: string): void {
    if (this.#objects.isFromFile(collection, key)) {
      throw new Refusal(405, 'MethodNotAllowed', `${collection} ${key} is changed in its file only`);
    }
  }

  #create({ collection, namespace }: Place, given: GenericObject): unknown {
    if (collection === 'authentication.k8s.io/tokenreviews') {
      return { ...given, status: reviewToken(this.#objects.table.list('/secrets'), given.spec ?? {}) };
    }
    const metadata = { ...given.metadata, ...(namespace !== undefined && { namespace }) };
    const object = { ...given, metadata };
    const key = objectKey(object);
    if (this.#objects.table.get(collection, key) !== undefined) {
      throw new Refusal(409, 'AlreadyExists', `${collection} ${key} exists`);
    }
    return this.#objects.write(collection, key, object);
  }

  #list(place: Place, query: URLSearchParams): unknown {
    const { table } = this.#objects;
    const chosen = selection(place, query);
    return {
      kind: 'List',
      metadata: { resourceVersion: String(table.version) },
      items: table
        .list(place.collection)
        .filter(chosen)
        .map((object) => versioned(object, place)),
    };
  }

  #watch(place: Place, query: URLSearchParams, signal: AbortSignal | undefined): TransportAnswer {
    const { table } = this.#objects;
    const missed = table.since(place.collection, Number(query.get('resourceVersion') ?? 0));
    const chosen = selection(place, query);
    if (missed === undefined) throw new Refusal(410, 'Expired', 'the version is too old');
    const ending = AbortSignal.any([this.#closed.signal, ...(signal === undefined ? [] : [signal])]);
    const pending: TableEvent[] = missed;
    let wake: () => void = () => undefined;
    const stop = table.subscribe((event) => {
      if (event.collection !== place.collection) return;
      pending.push(event);
      wake();
    });
    const timer = setTimeout(() => wake(), Number(query.get('timeoutSeconds') ?? 300) * 1000);
    timer.unref();
    const until = performance.now() + Number(query.get('timeoutSeconds') ?? 300) * 1000;
    const onAbort = (): void => wake();
    ending.addEventListener('abort', onAbort);
    async function* lines(): AsyncGenerator<Uint8Array> {
      try {
        while (!ending.aborted && performance.now() < until) {
          const events = pending.splice(0);
          const text = events
            .filter(({ object }) => chosen(object))
            .map(({ object, type }) => `${JSON.stringify({ type, object: versioned(object, place) })}\n`)
            .join('');
          if (text !== '') yield Buffer.from(text);
          if (pending.length > 0) continue;
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      } finally {
        stop();
        clearTimeout(timer);
        ending.removeEventListener('abort', onAbort);
      }
    }
    return { status: 200, retryAfter: undefined, body: lines(), text: async () => '' };
  }
}

function placeIn(path: string): Place {
  const [, group = '', version = '', namespace, plural = '', name, subresource] = PATH.exec(path) ?? [];
  if (plural === '') throw new Refusal(404, 'NotFound', `${path} is not served by a folder of objects`);
  return { group, version, collection: `${group}/${plural}`, namespace, name, subresource };
}

function keyIn({ name = '', namespace }: Place): string {
  return namespace === undefined ? name : `${namespace}/${name}`;
}

/** A writer who has seen an older version must look again. */
function fresh(known: Stored, given: GenericObject): void {
  const based = given.metadata?.resourceVersion;
  if (based !== undefined && based !== known.metadata.resourceVersion) {
    throw new Refusal(409, 'Conflict', `${objectKey(known)} has changed since`);
  }
}

/** Files may be written in any version of a kind: the fields we read are the same in all. */
function versioned(object: Stored, { group, version }: Place): Stored {
  return { ...object, apiVersion: group === '' ? version : `${group}/${version}` };
}

function selection(place: Place, query: URLSearchParams): (object: Stored) => boolean {
  const pairs = (name: string): (readonly [string, string | undefined])[] =>
    (query.get(name) ?? '')
      .split(',')
      .filter((text) => text !== '')
      .map((text) => {
        const [key = '', value] = text.split(/==?/, 2);
        return [key, value];
      });
  const labels = pairs('labelSelector');
  const names = pairs('fieldSelector').filter(([field]) => field === 'metadata.name');
  return ({ metadata }) =>
    (place.namespace === undefined || metadata.namespace === place.namespace) &&
    labels.every(([key, value]) => {
      const has = own(metadata.labels, key);
      return value === undefined ? has !== undefined : has === value;
    }) &&
    names.every(([, name]) => metadata.name === name);
}

function answer(status: number, text: string): TransportAnswer {
  async function* body(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(text);
  }
  return { status, retryAfter: undefined, body: body(), text: async () => text };
}
