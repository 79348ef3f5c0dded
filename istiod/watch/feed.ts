// SPDX-License-Identifier: Apache-2.0
// From informers to the sources of the model's graph: what arrives together is one batch.

import type { Graph } from '#lib/collections/graph.ts';
import type { Informer } from '#lib/kube/informer.ts';
import type { KubeObject } from '#lib/kube/object.ts';
import { INPUT_NAMES, type InputName, type InputObject, type ModelInputs } from '#lib/model/inputs.ts';

/** The side of a source that is written. */
interface Sink<T> {
  set(key: string, value: T): void;
  delete(key: string): void;
}

/** Copies an informer's objects into a source, from now on. */
function feed<T extends KubeObject>(graph: Graph, informer: Informer<T>, source: Sink<T>): void {
  informer.subscribe((changes) =>
    graph.batch(() => {
      for (const change of changes) {
        if (change.op === 'set') source.set(change.key, change.object);
        else source.delete(change.key);
      }
    }),
  );
}

/** Informers of every kind among the model's inputs. */
export type InputInformers = { readonly [N in InputName]: Informer<InputObject<N> & KubeObject> };

/** Copies every kind into its source. Pods come last, so that what they read is there. */
export function feedInputs(graph: Graph, informers: InputInformers, inputs: ModelInputs): void {
  const names = [...INPUT_NAMES].sort((a, b) => Number(a === 'pods') - Number(b === 'pods'));
  for (const name of names) feed(graph, informers[name] as Informer<KubeObject>, inputs[name] as Sink<KubeObject>);
}
