// SPDX-License-Identifier: Apache-2.0
// Writes what the model reports onto the objects: conditions where the kind has them, Events elsewhere. Only the
// replica that leads writes; the others keep the same picture, so that a successor goes on at once.

import type { Clock } from '#lib/kit/clock.ts';
import type { Logger } from '#lib/kit/log.ts';
import { formatProblem } from '#lib/kit/result.ts';
import type { KubeClient } from '#lib/kube/client.ts';
import { isKubeError } from '#lib/kube/error.ts';
import type { EventRecorder } from '#lib/kube/events.ts';
import type { Informer } from '#lib/kube/informer.ts';
import type { Kind } from '#lib/kube/kind.ts';
import type { Term } from '#lib/kube/leader.ts';
import { type Condition, type GenericObject, type KubeObject, objectKey } from '#lib/kube/object.ts';
import { TermQueue } from '#lib/kube/term-queue.ts';
import { type ObjectReport, problemsText, type ReportedCondition } from '#lib/model/report/report.ts';
import { conditionsToWrite } from './conditions.ts';

/** A kind whose objects carry conditions of ours. */
export interface ConditionTarget {
  readonly kind: Kind<KubeObject>;
  readonly objects: () => Iterable<KubeObject>;
  readonly get: (key: string) => KubeObject | undefined;
  readonly onChange: (listener: (key: string) => void) => void;
  /** Types of conditions that are ours, each with the field manager that writes it. */
  readonly managers: Readonly<Record<string, string>>;
  /** For kinds of which the model reports problems only: the condition that carries them, False while there are any. */
  readonly problemType?: string;
}

/** The target of an informer. */
export function conditionTarget<T extends KubeObject>(
  informer: Informer<T>,
  managers: Readonly<Record<string, string>>,
  problemType?: string,
): ConditionTarget {
  return {
    kind: informer.kind,
    objects: () => informer.values(),
    get: (key) => informer.get(key),
    onChange: (listener) =>
      void informer.subscribe((changes) => {
        for (const change of changes) if (change.op === 'set') listener(change.key);
      }),
    managers,
    ...(problemType === undefined ? {} : { problemType }),
  };
}

export interface StatusWriterOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Logger;
  readonly events: EventRecorder;
  /** By kind's name. A kind that is not among them is told of its problems by Events. */
  readonly targets: Readonly<Record<string, ConditionTarget>>;
  /** Whether an object is ours to write on, and not another revision's. */
  readonly owns: (object: KubeObject) => boolean;
  /** Kinds of objects that may have Events. */
  readonly kinds: Readonly<Record<string, Kind<KubeObject>>>;
}

export class StatusWriter {
  readonly #options: StatusWriterOptions;
  readonly #reports = new Map<string, ObjectReport>();
  /** Our last write to each object: what it was based on and what came of it, until the watch brings it too. */
  readonly #written = new Map<string, { readonly basedOn: string; readonly result: KubeObject }>();
  readonly #queue: TermQueue;

  constructor(options: StatusWriterOptions) {
    this.#options = options;
    const { clock, log } = options;
    this.#queue = new TermQueue({
      name: 'the status of an object',
      clock,
      log,
      concurrency: 4,
      reconcile: (id) => this.#write(id),
    });
    for (const [kind, target] of Object.entries(options.targets)) {
      // Also what others do to a status leads here: a condition that somebody removed is put back.
      target.onChange((key) => this.#queue.add(`${kind} ${key}`));
    }
  }

  /** What is to be said about an object now; undefined when there is nothing, or no object. */
  report(id: string, report: ObjectReport | undefined): void {
    if (report === undefined) this.#reports.delete(id);
    else this.#reports.set(id, report);
    this.#queue.add(id);
  }

  /** Begins to write, until the term ends. */
  lead(term: Term): void {
    // Those without a report too: they may carry a condition that no longer holds.
    const all = Object.entries(this.#options.targets).flatMap(([kind, target]) =>
      [...target.objects()].map((object) => `${kind} ${objectKey(object)}`),
    );
    this.#queue.lead(term, [...all, ...this.#reports.keys()]);
  }

  async #write(id: string): Promise<void> {
    const space = id.indexOf(' ');
    const kind = id.slice(0, space);
    const report = this.#reports.get(id);
    const target = this.#options.targets[kind];
    const object = target?.get(id.slice(space + 1));
    const about = object ?? (report && { metadata: report.object });
    if (about === undefined || !this.#options.owns(about)) return;
    if (target !== undefined && object !== undefined) {
      await this.#writeConditions(target, id, object, wantedConditions(target, report));
    }
    if (report !== undefined && !(target !== undefined && coversProblems(target, report))) {
      await this.#writeEvents(kind, report);
    }
  }

  async #writeConditions(
    { kind, managers }: ConditionTarget,
    id: string,
    watched: KubeObject,
    wanted: readonly ReportedCondition[],
  ): Promise<void> {
    const { client, clock } = this.#options;
    const basedOn = watched.metadata.resourceVersion ?? '';
    const written = this.#written.get(id);
    let object = written?.basedOn === basedOn ? written.result : watched;
    if (object === watched) this.#written.delete(id);
    const { generation, name, namespace } = watched.metadata;
    for (const manager of new Set(Object.values(managers))) {
      const owned = new Set(Object.keys(managers).filter((type) => managers[type] === manager));
      const own = wanted.filter(({ type }) => owned.has(type));
      const conditions = conditionsToWrite(conditionsOf(object), own, owned, generation, clock.now());
      if (conditions === undefined) continue;
      const body: GenericObject = {
        metadata: { name, ...(namespace === undefined ? {} : { namespace }) },
        status: { conditions },
      };
      try {
        object = await client.apply<KubeObject>(kind, body, {
          fieldManager: manager,
          force: true,
          subresource: 'status',
        });
        this.#written.set(id, { basedOn, result: object });
      } catch (error) {
        // Deleted meanwhile: there is nothing left to say it on.
        if (!isKubeError(error, 'KUBE_NOT_FOUND')) throw error;
      }
    }
  }

  async #writeEvents(kindName: string, { object, problems }: ObjectReport): Promise<void> {
    const kind = this.#options.kinds[kindName];
    if (kind === undefined) return;
    const { generation, name, namespace, uid } = object;
    const about: KubeObject = { metadata: { name, uid, generation, ...(namespace === '' ? {} : { namespace }) } };
    for (const { code, field, fix, message } of problems) {
      const text = formatProblem({ field, message, ...(fix === undefined ? {} : { fix }) });
      await this.#options.events.record(kind, about, {
        type: 'Warning',
        reason: code,
        message: `${kindName} ${namespace === '' ? '' : `${namespace}/`}${name}: ${text}`,
      });
    }
  }
}

function wantedConditions(
  { managers, problemType }: ConditionTarget,
  report: ObjectReport | undefined,
): readonly ReportedCondition[] {
  if (report === undefined) return [];
  const { conditions, problems } = report;
  const [first] = problems;
  if (problemType === undefined || first === undefined) return conditions;
  const manager = managers[problemType] ?? '';
  return [
    ...conditions,
    { type: problemType, status: 'False', reason: first.code, message: problemsText(problems), manager },
  ];
}

/** Whether a condition already says what is wrong. */
function coversProblems(target: ConditionTarget, report: ObjectReport): boolean {
  const wanted = wantedConditions(target, report);
  return report.problems.every(({ message }) => wanted.some((condition) => condition.message.includes(message)));
}

function conditionsOf(object: KubeObject): readonly Condition[] {
  const { status } = object as GenericObject;
  const conditions = status?.['conditions'];
  return Array.isArray(conditions) ? (conditions as Condition[]) : [];
}
