// SPDX-License-Identifier: Apache-2.0
// Writes each change of configuration into the history: what changes within a moment is one version. It begins once
// everything has been listed, so that what went while istiod was away is written as gone.

import type { Clock } from '#lib/kit/clock.ts';
import { describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import type { Informer } from '#lib/kube/informer.ts';
import type { KubeObject } from '#lib/kube/object.ts';
import { History } from './history.ts';

/** Changes so close together are one version. */
const GATHER_MS = 250;

export interface RecorderOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly folder: string;
  readonly maxVersions: number;
  /** All of them synced. */
  readonly informers: readonly Informer<KubeObject>[];
}

/** The history that follows the informers until `signal` aborts; undefined when the folder cannot be used. */
export function recordHistory(options: RecorderOptions, signal: AbortSignal): History | undefined {
  const { clock, folder, informers, log, maxVersions } = options;
  let history: History;
  try {
    history = new History({ folder, maxVersions });
  } catch (error) {
    log.warn('no history of the configuration is kept', { folder, error: describeError(error) });
    return undefined;
  }
  let waiting: Map<string, KubeObject | undefined> | undefined;
  const flush = (): void => {
    const changes = waiting ?? new Map<string, KubeObject | undefined>();
    waiting = undefined;
    try {
      history.record(clock.now(), changes);
    } catch (error) {
      log.warn('a version of the configuration could not be written', { folder, error: describeError(error) });
    }
  };
  const gone = new Set(history.objects);
  for (const informer of informers) {
    const nameOf = (key: string): string => `${informer.kind.kind} ${key}`;
    const end = informer.subscribe((changes) => {
      if (waiting === undefined) {
        waiting = new Map();
        clock.after(GATHER_MS, flush);
      }
      for (const change of changes) {
        gone.delete(nameOf(change.key));
        waiting.set(nameOf(change.key), change.op === 'set' ? change.object : undefined);
      }
    });
    signal.addEventListener('abort', end, { once: true });
  }
  const first = waiting ?? new Map<string, KubeObject | undefined>();
  for (const name of gone) first.set(name, undefined);
  waiting = first;
  flush();
  return history;
}
