// SPDX-License-Identifier: Apache-2.0
// Events on objects, as `kubectl describe` shows them. A repeated event counts up instead of piling up.
import { randomBytes } from 'node:crypto';
import type { Logger } from '#lib/kit/log.ts';
import type { KubeClient } from '#lib/kube/client.ts';
import { kindOf } from '#lib/kube/kind.ts';
import type { KubeObject } from '#lib/kube/object.ts';

export interface Involved {
  readonly kind: string;
  readonly name: string;
  readonly namespace?: string | undefined;
  readonly uid?: string | undefined;
  readonly fieldPath?: string;
}

interface EventBody extends KubeObject {
  readonly involvedObject: Readonly<Record<string, string | undefined>>;
  readonly reason: string;
  readonly message: string;
  readonly type: string;
  readonly count: number;
  readonly firstTimestamp: string;
  readonly lastTimestamp: string;
  readonly source: { readonly component: string; readonly host: string };
  readonly reportingComponent: string;
  readonly reportingInstance: string;
}

const EVENT = kindOf<EventBody>('', 'v1', 'Event', 'events');
/** Distinct events remembered for counting; the oldest is forgotten first. */
const MAX_REMEMBERED = 500;

export class EventRecorder {
  readonly #client: KubeClient;
  readonly #host: string;
  readonly #log: Logger;
  readonly #seen = new Map<string, { name: string; count: number }>();
  #queue: Promise<void> = Promise.resolve();

  constructor(client: KubeClient, host: string, log: Logger) {
    this.#client = client;
    this.#host = host;
    this.#log = log;
  }

  /** Records an event. Returns at once; a failure to store it is only logged. */
  record(object: Involved, type: 'Normal' | 'Warning', reason: string, message: string): void {
    this.#log.info(message, { object: `${object.namespace ?? ''}/${object.name}`, reason });
    this.#queue = this.#queue
      .then(() => this.#store(object, type, reason, message))
      .catch((error: unknown) => this.#log.debug('event not stored', { reason, error }));
  }

  /** Resolves when everything recorded so far is stored or given up. */
  async flushed(): Promise<void> {
    await this.#queue;
  }

  async #store(object: Involved, type: string, reason: string, message: string): Promise<void> {
    const namespace = object.namespace ?? 'default';
    const key = [namespace, object.kind, object.uid ?? object.name, object.fieldPath ?? '', reason, message].join('\0');
    const time = new Date().toISOString().replace(/\.\d+Z$/, 'Z');
    const seen = this.#seen.get(key);
    if (seen !== undefined) {
      seen.count += 1;
      await this.#client.mergePatch(EVENT, { namespace, name: seen.name }, { count: seen.count, lastTimestamp: time });
      return;
    }
    const name = `${object.name}.${randomBytes(8).toString('hex')}`;
    this.#seen.set(key, { name, count: 1 });
    if (this.#seen.size > MAX_REMEMBERED) this.#seen.delete(this.#seen.keys().next().value!);
    await this.#client.create(EVENT, {
      metadata: { name, namespace },
      involvedObject: { apiVersion: 'v1', ...object },
      reason,
      message,
      type,
      count: 1,
      firstTimestamp: time,
      lastTimestamp: time,
      source: { component: 'kubelet', host: this.#host },
      reportingComponent: 'kubelet',
      reportingInstance: this.#host,
    });
  }
}
