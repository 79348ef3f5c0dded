// SPDX-License-Identifier: Apache-2.0
// Writes conditions onto objects and Events about those whose kind has none. Only the replica that leads writes; the
// others keep the same picture, so that a successor goes on at once.

import type { Clock } from '#lib/kit/clock.ts';
import type { Logger } from '#lib/kit/log.ts';
import { formatProblem, type Problem } from '#lib/kit/result.ts';
import type { KubeClient } from '#lib/kube/client.ts';
import { isKubeError } from '#lib/kube/error.ts';
import type { EventRecorder } from '#lib/kube/events.ts';
import type { Informer } from '#lib/kube/informer.ts';
import type { Condition, GenericObject, KubeObject } from '#lib/kube/object.ts';
import { WorkQueue } from '#lib/kube/work-queue.ts';
import { conditionsToWrite, type WantedCondition } from './conditions.ts';

const FIELD_MANAGER = 'ambit-istiod-status';

/** Objects of one kind, as watched. */
export interface ConditionTarget {
  readonly informer: Informer<GenericObject>;
  /** Types of conditions that are ours on this kind. */
  readonly owned: ReadonlySet<string>;
}

export interface StatusWriterOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Logger;
  readonly events: EventRecorder;
  /** By kind's name. */
  readonly targets: Readonly<Record<string, ConditionTarget>>;
}

export class StatusWriter {
  readonly #options: StatusWriterOptions;
  readonly #wanted = new Map<string, readonly WantedCondition[]>();
  readonly #problems = new Map<string, () => void>();
  #queue: WorkQueue | undefined;

  constructor(options: StatusWriterOptions) {
    this.#options = options;
  }

  /** What the object's conditions should be; undefined when it is gone. */
  setConditions(kind: string, key: string, wanted: readonly WantedCondition[] | undefined): void {
    const id = `${kind} ${key}`;
    if (wanted === undefined) {
      this.#wanted.delete(id);
      return;
    }
    this.#wanted.set(id, wanted);
    this.#queue?.add(id);
  }

  /** What is wrong with an object whose kind has no conditions; empty when nothing is. */
  setProblems<T extends KubeObject>(informer: Informer<T>, key: string, problems: readonly Problem[]): void {
    const id = `${informer.kind.kind} ${key}`;
    if (problems.length === 0) {
      this.#problems.delete(id);
      return;
    }
    const tell = (): void => {
      const object = informer.get(key);
      if (object === undefined) return;
      for (const problem of problems) {
        const event = { type: 'Warning', reason: 'AmbitInvalid', message: formatProblem(problem) } as const;
        void this.#options.events.record(informer.kind, object, event);
      }
    };
    this.#problems.set(id, tell);
    if (this.#queue !== undefined) tell();
  }

  /** Begins to write, until `signal` aborts. */
  lead(signal: AbortSignal): void {
    const { clock, log } = this.#options;
    const queue = new WorkQueue({
      name: 'the status of an object',
      clock,
      log,
      concurrency: 4,
      reconcile: (id) => this.#write(id),
    });
    this.#queue = queue;
    for (const id of this.#wanted.keys()) queue.add(id);
    for (const tell of this.#problems.values()) tell();
    signal.addEventListener('abort', () => {
      queue.stop();
      if (this.#queue === queue) this.#queue = undefined;
    });
  }

  async #write(id: string): Promise<void> {
    const { client, clock, targets } = this.#options;
    const space = id.indexOf(' ');
    const target = targets[id.slice(0, space)];
    const object = target?.informer.get(id.slice(space + 1));
    const wanted = this.#wanted.get(id);
    if (target === undefined || object === undefined || wanted === undefined) return;
    const { generation, name, namespace } = object.metadata;
    const conditions = conditionsToWrite(existingConditions(object), wanted, target.owned, generation, clock.now());
    if (conditions === undefined) return;
    const body: GenericObject = {
      metadata: { name, ...(namespace === undefined ? {} : { namespace }) },
      status: { conditions },
    };
    try {
      await client.apply(target.informer.kind, body, {
        fieldManager: FIELD_MANAGER,
        force: true,
        subresource: 'status',
      });
    } catch (error) {
      // Deleted meanwhile: there is nothing left to say it on.
      if (!isKubeError(error, 'KUBE_NOT_FOUND')) throw error;
    }
  }
}

function existingConditions(object: GenericObject): readonly Condition[] {
  const conditions = object.status?.['conditions'];
  return Array.isArray(conditions) ? (conditions as Condition[]) : [];
}
