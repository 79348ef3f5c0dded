// SPDX-License-Identifier: Apache-2.0
// The history of the configuration as a part of the app: what is kept, and what is answered while there is none.

import type { Informer } from '#lib/kube/informer.ts';
import type { KubeObject } from '#lib/kube/object.ts';
import type { Sources } from '../sources.ts';
import type { Surroundings } from '../surroundings.ts';
import { CONFIG_KINDS } from '../watch/informers.ts';
import type { History } from './history.ts';
import { recordHistory } from './recorder.ts';

export class KeptHistory {
  #history: History | undefined;

  /** Begins once the sources are synced; until `signal` aborts each change is kept, if a folder is set. */
  start({ clock, config, log }: Surroundings, { informers }: Sources, signal: AbortSignal): void {
    const { historyFolder: folder, historyVersions: maxVersions } = config;
    if (folder === '') return;
    const watched = CONFIG_KINDS.map((name) => informers[name] as unknown as Informer<KubeObject>);
    this.#history = recordHistory(
      { clock, log: log.child('history'), folder, maxVersions, informers: watched },
      signal,
    );
  }

  /** Between two moments, wall-clock ms; undefined while no history is kept. */
  changesBetween(from: number, to: number): unknown {
    return this.#history?.diff(from, to);
  }

  /** All of it at a moment; undefined as above. */
  configurationAt(moment: number): unknown {
    return this.#history?.contents(moment);
  }
}
