// SPDX-License-Identifier: Apache-2.0
// Writes whole statuses, of kinds whose status is more than a list of conditions: of Gateways and their classes, and of
// routes, where several controllers share one list. A write replaces what was read, so it carries the version that was
// read, and is tried again when somebody else was faster.

import type { Clock } from '#lib/kit/clock.ts';
import type { Logger } from '#lib/kit/log.ts';
import type { KubeClient } from '#lib/kube/client.ts';
import { isKubeError } from '#lib/kube/error.ts';
import type { Informer } from '#lib/kube/informer.ts';
import type { Term } from '#lib/kube/leader.ts';
import { type GenericObject, objectKey } from '#lib/kube/object.ts';
import { TermQueue } from '#lib/kube/term-queue.ts';

export type Status = Readonly<Record<string, unknown>>;

/** A kind whose statuses are written. */
export interface StatusTarget {
  readonly informer: Informer<GenericObject>;
  /** The status the object is to have, given the one it has; undefined when it says that already. */
  readonly next: (object: GenericObject, now: number) => Status | undefined;
}

export interface ObjectStatusWriterOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Logger;
  /** By kind's name. */
  readonly targets: Readonly<Record<string, StatusTarget>>;
  /** Whether an object is ours to write on, and not another revision's. */
  readonly owns: (object: GenericObject) => boolean;
}

export class ObjectStatusWriter {
  readonly #options: ObjectStatusWriterOptions;
  /** The version of each object that our last write was based on. */
  readonly #basedOn = new Map<string, string>();
  readonly #queue: TermQueue;

  constructor(options: ObjectStatusWriterOptions) {
    this.#options = options;
    const { clock, log } = options;
    this.#queue = new TermQueue({
      name: 'the status of an object',
      clock,
      log,
      concurrency: 4,
      reconcile: (id) => this.#write(id),
    });
    for (const [kind, { informer }] of Object.entries(options.targets)) {
      informer.subscribe((changes) => {
        for (const change of changes) {
          if (change.op === 'set') this.changed(kind, change.key);
          else this.#basedOn.delete(`${kind} ${change.key}`);
        }
      });
    }
  }

  /** What is to be said of the object may have changed. */
  changed(kind: string, key: string): void {
    this.#queue.add(`${kind} ${key}`);
  }

  /** Begins to write, until the term ends. */
  lead(term: Term): void {
    const all = Object.entries(this.#options.targets).flatMap(([kind, { informer }]) =>
      [...informer.values()].map((object) => `${kind} ${objectKey(object)}`),
    );
    this.#queue.lead(term, all);
  }

  async #write(id: string): Promise<void> {
    const { client, clock, owns, targets } = this.#options;
    const space = id.indexOf(' ');
    const target = targets[id.slice(0, space)];
    const object = target?.informer.get(id.slice(space + 1));
    if (target === undefined || object === undefined || !owns(object)) return;
    const version = object.metadata.resourceVersion ?? '';
    // Written already: the watch will bring it, and this is called again.
    if (this.#basedOn.get(id) === version) return;
    const status = target.next(object, clock.now());
    if (status === undefined) return;
    try {
      const written = await client.update(target.informer.kind, { ...object, status }, 'status');
      if (written.metadata.resourceVersion !== version) this.#basedOn.set(id, version);
    } catch (error) {
      if (!isKubeError(error, 'KUBE_NOT_FOUND')) throw error;
    }
  }
}
