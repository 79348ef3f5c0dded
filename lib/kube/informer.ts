// SPDX-License-Identifier: Apache-2.0
// Keeps a copy of a collection: lists it, watches it from there, and starts over when the server has forgotten where
// we were. While the server is away the last state stands, and the informer says so once, not at every attempt.
//
//   listing ──ok──▶ watching ──window ends──▶ watching (from the last version seen)
//      ▲               │  410, or an answer that is no watch ──▶ listing
//      └── waiting ◀───┴── no answer (then watching again from the same version)

import { Backoff } from '#lib/kit/backoff.ts';
import type { Clock } from '#lib/kit/clock.ts';
import { describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import type { KubeClient, Selection } from './client.ts';
import { isKubeError, KubeError } from './error.ts';
import { apiVersionOf, type Kind, kindName } from './kind.ts';
import type { KubeObject } from './object.ts';
import { type Change, ObjectStore } from './store.ts';

export type { Change } from './store.ts';

/** The server ends a watch after 5 to 10 minutes, spread so that informers do not return in step. */
const WATCH_SECONDS = 300;
/** How much longer than agreed a watch may last before we take the connection for dead. */
const WATCH_GRACE_MS = 30_000;
/** How often to ask again for a kind the server does not serve (its CRD is not installed). */
const ABSENT_RETRY_MS = 5_000;
/** How long a kind must have been absent before the objects we hold of it are given up. */
const ABSENT_CERTAIN_MS = 60_000;
/**
 * However long the server was away, all is known again within 10 s of its return: an attempt to connect that knocked in
 * vain just before has 2 s left of its 5 (TCP knocks after 1 s and 3 s), then 3.6 s at most pass before the next one.
 */
const MAX_RETRY_MS = 3_000;
/** A watch that ends sooner than this without an event is a failure, or we would ask without pause. */
const MIN_WATCH_MS = 1_000;

export type InformerState =
  | { readonly kind: 'stopped' }
  | { readonly kind: 'listing' }
  | { readonly kind: 'watching'; readonly resourceVersion: string }
  | { readonly kind: 'waiting'; readonly error: string; readonly failures: number }
  | { readonly kind: 'absent' };

export interface InformerOptions<T extends KubeObject> {
  readonly client: KubeClient;
  readonly kind: Kind<T>;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly log: Logger;
  readonly selection?: Selection;
  /** Cuts an object down to what is needed before it is kept; the default drops managedFields. */
  readonly trim?: (object: T) => T;
  /** Tells every object again at this interval, so that a reconciler repairs what drifted; 0 is never. */
  readonly resyncMs?: number;
  /** Called when requests begin to fail and when they succeed again. */
  readonly onHealth?: (healthy: boolean, reason: string) => void;
}

type Listener<T extends KubeObject> = (changes: readonly Change<T>[]) => void;

/** A copy of one collection. Listeners are called synchronously, in order, with what changed. */
export class Informer<T extends KubeObject> {
  readonly kind: Kind<T>;
  readonly #options: InformerOptions<T>;
  readonly #store = new ObjectStore<T>();
  readonly #listeners = new Set<Listener<T>>();
  readonly #log: Logger;
  readonly #backoff: Backoff;
  readonly #synced = Promise.withResolvers<void>();
  #isSynced = false;
  #absentSince: number | undefined;
  /** The server said that it is up, before the listing that is under way. */
  #serverWasReady = false;
  #failures = 0;
  #state: InformerState = { kind: 'stopped' };
  #stop: AbortController | undefined;
  #cancelResync: () => void = () => undefined;

  constructor(options: InformerOptions<T>) {
    this.kind = options.kind;
    this.#options = options;
    this.#log = options.log;
    this.#backoff = new Backoff({ initialMs: 200, maxMs: MAX_RETRY_MS, jitter: 0.2, random: options.random });
  }

  /** Begins; the copy is complete once `whenSynced` resolves. */
  start(): void {
    if (this.#stop !== undefined) return;
    this.#stop = new AbortController();
    this.#scheduleResync();
    void this.#run(this.#stop.signal);
  }

  stop(): void {
    this.#cancelResync();
    this.#stop?.abort();
    this.#state = { kind: 'stopped' };
  }

  get synced(): boolean {
    return this.#isSynced;
  }

  /** Resolves when the first listing is in, or the server has said that it does not serve this kind. */
  whenSynced(): Promise<void> {
    return this.#synced.promise;
  }

  get state(): InformerState {
    return this.#state;
  }

  get size(): number {
    return this.#store.size;
  }

  /** By `namespace/name`, or `name` of a cluster-scoped object. */
  get(key: string): T | undefined {
    return this.#store.get(key);
  }

  values(): IterableIterator<T> {
    return this.#store.values();
  }

  /** Tells the listener all objects known now, then every change; the returned function ends it. */
  subscribe(listener: Listener<T>): () => void {
    this.#listeners.add(listener);
    if (this.#store.size > 0) this.#call(listener, this.#store.asChanges());
    return () => this.#listeners.delete(listener);
  }

  async #run(signal: AbortSignal): Promise<void> {
    let version: string | undefined;
    while (!signal.aborted) {
      try {
        version = version === undefined ? await this.#list(signal) : await this.#watch(version, signal);
      } catch (error) {
        if (signal.aborted) return;
        // Only silence leaves our place in the stream valid; after any answer we start over.
        if (!isKubeError(error, 'KUBE_UNREACHABLE')) version = undefined;
        await this.#wait(error, signal);
      }
    }
  }

  async #list(signal: AbortSignal): Promise<string | undefined> {
    if (this.#state.kind !== 'absent') this.#state = { kind: 'listing' };
    try {
      const { client, selection } = this.#options;
      const trim = (item: T): T => this.#trim(item);
      const { items, resourceVersion } = await client.list(this.kind, selection, signal, trim);
      this.#absentSince = undefined;
      this.#healthy();
      this.#publish(this.#store.replace(items));
      this.#markSynced();
      return resourceVersion;
    } catch (error) {
      if (!isKubeError(error, 'KUBE_NOT_FOUND')) throw error;
    }
    const { client, clock } = this.#options;
    this.#absentSince ??= clock.monotonic();
    // An API server that is just starting may not serve a kind yet. Nobody is told that there is nothing, and what we
    // hold stays, until it is certain: there may be policies that deny.
    if (!this.#isSynced && !this.#serverWasReady) {
      this.#serverWasReady = await client.serverReady(signal);
      // A server that became ready only now is asked once more: the answer above may be from before.
      if (!this.#serverWasReady) await this.#sleep(this.#backoff.next(), signal);
      return undefined;
    }
    if (this.#store.size === 0 || clock.monotonic() - this.#absentSince >= ABSENT_CERTAIN_MS) {
      if (this.#state.kind !== 'absent') this.#log.debug(`${kindName(this.kind)} is not served here`);
      this.#publish(this.#store.replace([]));
      this.#markSynced();
    }
    this.#state = { kind: 'absent' };
    await this.#sleep(ABSENT_RETRY_MS, signal);
    return undefined;
  }

  /** Watches once; gives the version to go on from, or undefined when a new listing is needed. */
  async #watch(from: string, signal: AbortSignal): Promise<string | undefined> {
    const { client, clock, random, selection } = this.#options;
    const timeoutSeconds = Math.round(WATCH_SECONDS * (1 + random()));
    const guard = new AbortController();
    const cancel = clock.after(timeoutSeconds * 1000 + WATCH_GRACE_MS, () =>
      guard.abort(
        new KubeError('KUBE_UNREACHABLE', 'the watch outlived its window: the connection is dead', { status: 0 }),
      ),
    );
    const started = clock.monotonic();
    let version = from;
    let events = 0;
    this.#state = { kind: 'watching', resourceVersion: version };
    try {
      const options = { ...selection, resourceVersion: from, timeoutSeconds };
      for await (const batch of client.watch(this.kind, options, AbortSignal.any([signal, guard.signal]))) {
        const changes: Change<T>[] = [];
        for (const event of batch) {
          events++;
          if (event.type === 'ERROR') {
            this.#publish(changes);
            if (event.status === 410 || event.reason === 'Expired') {
              this.#log.debug(`${kindName(this.kind)}: the watch is too old, listing again`);
              return undefined;
            }
            throw new KubeError('KUBE_REFUSED', `watch ${this.kind.plural}: ${event.message}`, {
              status: event.status,
            });
          }
          const seen = event.type === 'BOOKMARK' ? event.resourceVersion : event.object.metadata.resourceVersion;
          if (seen !== undefined && seen !== '') version = seen;
          if (event.type === 'BOOKMARK') continue;
          const change =
            event.type === 'DELETED' ? this.#store.delete(event.object) : this.#store.set(this.#trim(event.object));
          if (change !== undefined) changes.push(change);
        }
        this.#healthy();
        this.#state = { kind: 'watching', resourceVersion: version };
        this.#publish(changes);
      }
    } finally {
      cancel();
    }
    if (events === 0 && clock.monotonic() - started < MIN_WATCH_MS && !signal.aborted) {
      throw new KubeError('KUBE_UNREACHABLE', `watch ${this.kind.plural}: the server ended it at once`, { status: 0 });
    }
    return version;
  }

  async #wait(error: unknown, signal: AbortSignal): Promise<void> {
    const reason = describeError(error);
    this.#failures++;
    this.#state = { kind: 'waiting', error: reason, failures: this.#failures };
    if (this.#failures === 2) {
      // The first failure is usually a restart of the server; a second one is worth a line.
      this.#log.warn(`${kindName(this.kind)} is out of date until the API server answers`, { error: reason });
      this.#options.onHealth?.(false, reason);
    }
    const asked = error instanceof KubeError ? (error.retryAfterSeconds ?? 0) * 1000 : 0;
    await this.#sleep(Math.max(asked, this.#backoff.next()), signal);
  }

  #healthy(): void {
    if (this.#failures >= 2) {
      this.#log.info(`${kindName(this.kind)} is up to date again`, { failures: this.#failures });
      this.#options.onHealth?.(true, '');
    }
    this.#failures = 0;
    this.#backoff.reset();
  }

  #markSynced(): void {
    this.#isSynced = true;
    this.#synced.resolve();
  }

  async #sleep(ms: number, signal: AbortSignal): Promise<void> {
    try {
      await this.#options.clock.sleep(ms, signal);
    } catch {
      // Stopped while waiting.
    }
  }

  /** Items of a list carry no kind of their own; ours always do. */
  #trim(given: T): T {
    const object = { apiVersion: apiVersionOf(this.kind), kind: this.kind.kind, ...given };
    if (this.#options.trim !== undefined) return this.#options.trim(object);
    const { managedFields: _, ...metadata } = object.metadata as T['metadata'] & { managedFields?: unknown };
    return { ...object, metadata };
  }

  #publish(changes: readonly Change<T>[]): void {
    if (changes.length === 0) return;
    for (const listener of this.#listeners) this.#call(listener, changes);
  }

  /** A listener's bug must not end the watch for the others. */
  #call(listener: Listener<T>, changes: readonly Change<T>[]): void {
    try {
      listener(changes);
    } catch (error) {
      this.#log.error(`a listener of ${kindName(this.kind)} failed`, {
        error: describeError(error),
        objects: changes.slice(0, 3).map((change) => change.key),
      });
    }
  }

  #scheduleResync(): void {
    const every = this.#options.resyncMs ?? 0;
    if (every <= 0) return;
    this.#cancelResync = this.#options.clock.after(every, () => {
      this.#publish(this.#store.asChanges());
      this.#scheduleResync();
    });
  }
}
