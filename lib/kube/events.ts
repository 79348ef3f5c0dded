// SPDX-License-Identifier: Apache-2.0
// Events on objects: what `kubectl describe` shows. Equal events are counted up instead of repeated, and failures to
// write one are only logged: an event is help, not state.

import { hash } from 'node:crypto';
import type { Clock } from '#lib/kit/clock.ts';
import { describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import type { KubeClient } from './client.ts';
import { isKubeError } from './error.ts';
import { apiVersionOf, EVENT, type Kind } from './kind.ts';
import type { EventObject, KubeObject } from './object.ts';

/** Equal events within this time are told once; the object is not news any more. */
const QUIET_MS = 10 * 60_000;
const MAX_REMEMBERED = 4096;
/** Limit of an Event's message (Kubernetes API, Event v1). */
const MAX_MESSAGE_CHARACTERS = 1024;

export interface EventInput {
  readonly type: 'Normal' | 'Warning';
  /** UpperCamelCase, for machines. */
  readonly reason: string;
  readonly message: string;
}

export interface EventRecorderOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Logger;
  /** Who reports: `istiod`. */
  readonly component: string;
  /** Which instance of it: the pod's name. */
  readonly instance: string;
}

export class EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #told = new Map<string, { atMs: number; count: number }>();

  constructor(options: EventRecorderOptions) {
    this.#options = options;
  }

  /** Records an event about an object; resolves when it is written or has been given up. */
  async record<T extends KubeObject>(kind: Kind<T>, object: T, event: EventInput): Promise<void> {
    const { clock, log } = this.#options;
    const { name, namespace = 'default', uid = '' } = object.metadata;
    const id = hash(
      'sha1',
      [kind.group, kind.kind, namespace, name, uid, event.reason, event.message].join('\0'),
      'hex',
    );
    const now = clock.monotonic();
    const known = this.#told.get(id);
    if (known !== undefined && now - known.atMs < QUIET_MS) return;
    const count = (known?.count ?? 0) + 1;
    this.#remember(id, { atMs: now, count });
    try {
      await this.#write(kind, object, event, `${name}.${id.slice(0, 16)}`, count);
    } catch (error) {
      this.#told.delete(id);
      log.warn('cannot write an event', {
        object: `${namespace}/${name}`,
        reason: event.reason,
        error: describeError(error),
      });
    }
  }

  async #write<T extends KubeObject>(kind: Kind<T>, object: T, event: EventInput, name: string, count: number) {
    const { client, clock, component, instance } = this.#options;
    const at = new Date(clock.now()).toISOString().replace(/\.\d+Z$/, 'Z');
    // Events about cluster-scoped objects live in the namespace `default`.
    const namespace = object.metadata.namespace ?? 'default';
    const { uid, resourceVersion } = object.metadata;
    const body: EventObject = {
      metadata: { name, namespace },
      involvedObject: {
        apiVersion: apiVersionOf(kind),
        kind: kind.kind,
        name: object.metadata.name,
        ...(object.metadata.namespace === undefined ? {} : { namespace }),
        ...(uid === undefined ? {} : { uid }),
        ...(resourceVersion === undefined ? {} : { resourceVersion }),
      },
      type: event.type,
      reason: event.reason,
      message: event.message.slice(0, MAX_MESSAGE_CHARACTERS),
      count,
      firstTimestamp: at,
      lastTimestamp: at,
      source: { component },
      reportingComponent: component,
      reportingInstance: instance,
    };
    try {
      await client.create(EVENT, body);
    } catch (error) {
      if (!isKubeError(error, 'KUBE_CONFLICT')) throw error;
      const old = await client.get(EVENT, { namespace, name });
      const total = (old?.count ?? 0) + 1;
      await client.mergePatch(EVENT, { namespace, name }, { count: total, lastTimestamp: at });
    }
  }

  #remember(id: string, entry: { atMs: number; count: number }): void {
    this.#told.delete(id);
    this.#told.set(id, entry);
    if (this.#told.size <= MAX_REMEMBERED) return;
    const oldest = this.#told.keys().next().value;
    if (oldest !== undefined) this.#told.delete(oldest);
  }
}
