// SPDX-License-Identifier: Apache-2.0
// From informers to the sources of the model's graph: what arrives together is one batch.

import type { Source } from '#lib/collections/collection.ts';
import type { Graph } from '#lib/collections/graph.ts';
import type { Informer } from '#lib/kube/informer.ts';
import type { KubeObject } from '#lib/kube/object.ts';
import { INPUT_NAMES, type InputName, type InputObject, type ModelInputs } from '#lib/model/inputs.ts';
import { clusterKey } from '#lib/model/object/object.ts';
import type { ClusterInformers } from './informers.ts';

/** Kinds that are read of every cluster. */
const CLUSTER_INPUTS = [
  'namespaces',
  'nodes',
  'services',
  'endpointSlices',
  'serviceAccounts',
  'gateways',
  'pods',
] as const satisfies readonly (InputName & keyof ClusterInformers)[];

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

/** Copies a remote cluster's objects, marked with the cluster, in place of what was known of it. Returns the way to stop. */
export function feedCluster(
  graph: Graph,
  cluster: string,
  informers: ClusterInformers,
  inputs: ModelInputs,
): () => void {
  const stops: (() => void)[] = [];
  graph.batch(() => {
    for (const name of CLUSTER_INPUTS) {
      const source = inputs[name] as Source<KubeObject>;
      const informer = informers[name] as Informer<KubeObject>;
      for (const [key, own] of keysOf(cluster, source)) if (informer.get(own) === undefined) source.delete(key);
      stops.push(
        informer.subscribe((changes) =>
          graph.batch(() => {
            for (const change of changes) {
              const key = clusterKey(cluster, change.key);
              if (change.op === 'set') source.set(key, { ...change.object, cluster } as KubeObject);
              else source.delete(key);
            }
          }),
        ),
      );
    }
  });
  return () => {
    for (const stop of stops) stop();
  };
}

/** Forgets a remote cluster. */
export function withdrawCluster(graph: Graph, cluster: string, inputs: ModelInputs): void {
  graph.batch(() => {
    for (const name of CLUSTER_INPUTS) {
      for (const [key] of keysOf(cluster, inputs[name] as Source<KubeObject>)) inputs[name].delete(key);
    }
  });
}

/** Keys of a cluster's objects, each with the key it has in its own cluster. */
function keysOf(cluster: string, source: Source<KubeObject>): [string, string][] {
  const prefix = clusterKey(cluster, '');
  return [...source.entries()].flatMap(([key]) => (key.startsWith(prefix) ? [[key, key.slice(prefix.length)]] : []));
}
