// SPDX-License-Identifier: Apache-2.0
// From informers to the sources of the model's graph: what arrives together is one batch.

import type { Graph } from '#lib/collections/graph.ts';
import type { Informer } from '#lib/kube/informer.ts';
import type { KubeObject } from '#lib/kube/object.ts';

/** The side of a source that is written. */
interface Sink<T> {
  set(key: string, value: T): void;
  delete(key: string): void;
}

/** Copies an informer's objects into a source, from now on. */
export function feed<T extends KubeObject>(graph: Graph, informer: Informer<T>, source: Sink<T>): void {
  informer.subscribe((changes) =>
    graph.batch(() => {
      for (const change of changes) {
        if (change.op === 'set') source.set(change.key, change.object);
        else source.delete(change.key);
      }
    }),
  );
}
