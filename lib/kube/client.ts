// SPDX-License-Identifier: Apache-2.0
// The API client: objects of any kind, read, written, applied and watched. Thin on purpose: paths and errors are its
// whole knowledge; what to do about an error is the caller's.

import type { AmbitError } from '#lib/kit/error.ts';
import { errorFromAnswer, isKubeError, KubeError } from './error.ts';
import { apiVersionOf, type Kind, kindName, type ResourceAddress, resourcePath } from './kind.ts';
import type { KubeObject } from './object.ts';
import type { Transport, TransportRequest } from './transport.ts';
import { WatchDecoder, type WatchEvent } from './watch-decoder.ts';

const DEFAULT_TIMEOUT_MS = 30_000;
/** Large enough that most collections are one page, small enough that a page is a few MiB. */
export const PAGE_SIZE = 500;

export type Query = Readonly<Record<string, string | number | boolean | undefined>>;

export interface Selection {
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
}

export interface Listing<T extends KubeObject> {
  readonly items: T[];
  readonly resourceVersion: string;
}

export interface WatchOptions extends Selection {
  readonly resourceVersion: string;
  /** After how long the server ends the watch by itself. */
  readonly timeoutSeconds: number;
}

export interface ApplyOptions {
  /** Who owns the fields; one name a part of the product, e.g. `ambit-istiod-status`. */
  readonly fieldManager: string;
  /** Takes fields over from another manager instead of failing with KUBE_CONFLICT. */
  readonly force?: boolean;
  readonly subresource?: string;
}

export interface CallOptions {
  readonly query?: Query;
  readonly body?: unknown;
  readonly contentType?: string;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
}

export class KubeClient {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** The object, or undefined when there is none. */
  async get<T extends KubeObject>(
    kind: Kind<T>,
    address: ResourceAddress,
    signal?: AbortSignal,
    timeoutMs = DEFAULT_TIMEOUT_MS,
  ): Promise<T | undefined> {
    const options = { signal, timeoutMs };
    try {
      return await this.#json<T>('GET', resourcePath(kind, address), `get ${label(kind, address)}`, options);
    } catch (error) {
      if (isKubeError(error, 'KUBE_NOT_FOUND')) return undefined;
      throw error;
    }
  }

  /** Every object selected, page by page, with the version a watch continues from. What `trim` leaves of an object is
   * all that is kept of it while the next page is read. */
  async list<T extends KubeObject>(
    kind: Kind<T>,
    selection: Selection = {},
    signal?: AbortSignal,
    trim: (object: T) => T = (object) => object,
  ): Promise<Listing<T>> {
    const items: T[] = [];
    let next: string | undefined;
    for (;;) {
      const page = await this.#json<ListBody<T>>('GET', resourcePath(kind, selection), `list ${kind.plural}`, {
        query: {
          labelSelector: selection.labelSelector,
          fieldSelector: selection.fieldSelector,
          limit: PAGE_SIZE,
          continue: next,
        },
        signal,
      });
      if (!Array.isArray(page.items)) throw unreadable(`list ${kind.plural}`, 'the answer has no items');
      for (const item of page.items) {
        if (typeof item?.metadata?.name !== 'string') throw unreadable(`list ${kind.plural}`, 'an item has no name');
        items.push(trim(item));
      }
      next = page.metadata?.continue;
      if (next === undefined || next === '') return { items, resourceVersion: page.metadata?.resourceVersion ?? '' };
    }
  }

  /** Changes from `resourceVersion` on, as many at a time as arrived together, until the server ends the watch or `signal` aborts. */
  async *watch<T extends KubeObject>(
    kind: Kind<T>,
    options: WatchOptions,
    signal: AbortSignal,
  ): AsyncGenerator<WatchEvent<T>[], void, undefined> {
    const what = `watch ${kind.plural}`;
    const answer = await this.#send('GET', resourcePath(kind, options), what, {
      query: {
        watch: true,
        allowWatchBookmarks: true,
        resourceVersion: options.resourceVersion,
        timeoutSeconds: options.timeoutSeconds,
        labelSelector: options.labelSelector,
        fieldSelector: options.fieldSelector,
      },
      signal,
    });
    const decoder = new WatchDecoder<T>();
    try {
      for await (const chunk of answer.body) yield decoder.write(chunk);
    } catch (cause) {
      signal.throwIfAborted();
      throw new KubeError('KUBE_UNREACHABLE', `${what}: the connection broke`, { status: 0, cause });
    }
  }

  async create<T extends KubeObject>(
    kind: Kind<T>,
    object: T,
    subresource?: string,
    timeoutMs = DEFAULT_TIMEOUT_MS,
  ): Promise<T> {
    const address = { namespace: object.metadata.namespace, ...(subresource === undefined ? {} : { subresource }) };
    return await this.#json<T>('POST', resourcePath(kind, address), `create ${labelOf(kind, object)}`, {
      body: typed(kind, object),
      timeoutMs,
    });
  }

  /** Replaces the object; its resourceVersion, when present, must be the stored one. */
  async update<T extends KubeObject>(
    kind: Kind<T>,
    object: T,
    subresource?: string,
    timeoutMs = DEFAULT_TIMEOUT_MS,
  ): Promise<T> {
    const path = resourcePath(kind, addressOf(object, subresource));
    return await this.#json<T>('PUT', path, `update ${labelOf(kind, object)}`, {
      body: typed(kind, object),
      timeoutMs,
    });
  }

  /** Server-side apply: the fields given become this manager's, those it no longer gives are removed. */
  async apply<T extends KubeObject>(kind: Kind<T>, object: T, options: ApplyOptions): Promise<T> {
    const path = resourcePath(kind, addressOf(object, options.subresource));
    return await this.#json<T>('PATCH', path, `apply ${labelOf(kind, object)}`, {
      // JSON is YAML: no second serialiser is needed.
      contentType: 'application/apply-patch+yaml',
      query: { fieldManager: options.fieldManager, force: options.force === true ? true : undefined },
      body: typed(kind, object),
    });
  }

  /** JSON merge patch (RFC 7386). */
  async mergePatch<T extends KubeObject>(kind: Kind<T>, address: ResourceAddress, patch: unknown): Promise<T> {
    return await this.#json<T>('PATCH', resourcePath(kind, address), `patch ${label(kind, address)}`, {
      contentType: 'application/merge-patch+json',
      body: patch,
    });
  }

  /** False when there was nothing to delete. `uid`: only that very object, KUBE_CONFLICT when another has its name. */
  async delete<T extends KubeObject>(
    kind: Kind<T>,
    address: ResourceAddress,
    { gracePeriodSeconds, uid }: { readonly gracePeriodSeconds?: number; readonly uid?: string } = {},
  ): Promise<boolean> {
    const options = {
      apiVersion: 'v1',
      kind: 'DeleteOptions',
      ...(gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds }),
      ...(uid === undefined ? {} : { preconditions: { uid } }),
    };
    const given = gracePeriodSeconds !== undefined || uid !== undefined;
    try {
      const body = given ? { body: options } : {};
      await this.#json<unknown>('DELETE', resourcePath(kind, address), `delete ${label(kind, address)}`, body);
      return true;
    } catch (error) {
      if (isKubeError(error, 'KUBE_NOT_FOUND')) return false;
      throw error;
    }
  }

  /** The text at any path of the API: `/version`, a pod's proxy, logs. */
  async text(path: string, options: CallOptions = {}): Promise<string> {
    const answer = await this.#send(options.body === undefined ? 'GET' : 'POST', path, `get ${path}`, options);
    return await answer.text();
  }

  /** Whether the API server says that it is up completely; one that will not say counts as up. */
  async serverReady(signal?: AbortSignal): Promise<boolean> {
    try {
      await this.text('/readyz', { signal, timeoutMs: DEFAULT_TIMEOUT_MS });
      return true;
    } catch (error) {
      // 403 and 404: not for us to see. 500 and silence: some part of it has not started.
      return error instanceof KubeError && error.status >= 400 && error.status < 500;
    }
  }

  async close(): Promise<void> {
    await this.#transport.close();
  }

  async #json<T>(method: TransportRequest['method'], path: string, what: string, options: CallOptions): Promise<T> {
    const answer = await this.#send(method, path, what, options);
    const text = await answer.text();
    try {
      return JSON.parse(text) as T;
    } catch (cause) {
      throw unreadable(what, 'the answer is not JSON', cause);
    }
  }

  async #send(method: TransportRequest['method'], path: string, what: string, options: CallOptions) {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(options.query ?? {})) {
      if (value !== undefined) query.set(name, String(value));
    }
    const answer = await this.#transport.send({
      method,
      path: query.size === 0 ? path : `${path}${path.includes('?') ? '&' : '?'}${query}`,
      ...(options.body === undefined
        ? {}
        : { body: JSON.stringify(options.body), contentType: options.contentType ?? 'application/json' }),
      timeoutMs: options.timeoutMs ?? DEFAULT_TIMEOUT_MS,
      signal: options.signal,
    });
    if (answer.status >= 200 && answer.status < 300) return answer;
    throw errorFromAnswer(what, answer.status, await answer.text(), answer.retryAfter);
  }
}

interface ListBody<T> {
  readonly items?: readonly T[];
  readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string };
}

function unreadable(what: string, message: string, cause?: unknown): AmbitError {
  return new KubeError('KUBE_REFUSED', `${what}: ${message}`, { status: 0, ...(cause === undefined ? {} : { cause }) });
}

function addressOf(object: KubeObject, subresource: string | undefined): ResourceAddress {
  return { namespace: object.metadata.namespace, name: object.metadata.name, subresource };
}

function typed<T extends KubeObject>(kind: Kind<T>, object: T): T {
  return { apiVersion: apiVersionOf(kind), kind: kind.kind, ...object };
}

function label<T extends KubeObject>(kind: Kind<T>, address: ResourceAddress): string {
  const place = address.namespace === undefined ? '' : `${address.namespace}/`;
  return `${kindName(kind)} ${place}${address.name ?? ''}`;
}

function labelOf<T extends KubeObject>(kind: Kind<T>, object: T): string {
  return label(kind, addressOf(object, undefined));
}
