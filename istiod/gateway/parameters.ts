// SPDX-License-Identifier: Apache-2.0
// Watches the ConfigMaps that Gateways name as their parameters, each by its name and as long as a Gateway names it:
// a watch of all ConfigMaps would carry the whole cluster's configuration for the sake of a few.

import type { Source } from '#lib/collections/collection.ts';
import { Informer, type InformerOptions } from '#lib/kube/informer.ts';
import { CONFIG_MAP } from '#lib/kube/kind.ts';
import type { ConfigMap, KubeObject } from '#lib/kube/object.ts';
import { type ConfigMap as Parameters, parametersOf } from '#lib/model/gateway/parameters.ts';
import type { Gateway } from '#lib/model/waypoint/gateway.ts';

export interface ParameterWatchOptions extends Omit<InformerOptions<ConfigMap>, 'kind' | 'selection'> {
  readonly gateways: Informer<KubeObject>;
  readonly source: Pick<Source<Parameters>, 'set' | 'delete'>;
}

export class ParameterWatch {
  readonly #options: ParameterWatchOptions;
  readonly #watches = new Map<string, Informer<ConfigMap>>();
  readonly #unsubscribe: () => void;

  constructor(options: ParameterWatchOptions) {
    this.#options = options;
    this.#unsubscribe = options.gateways.subscribe(() => this.#follow());
  }

  stop(): void {
    this.#unsubscribe();
    for (const watch of this.#watches.values()) watch.stop();
    this.#watches.clear();
  }

  #follow(): void {
    const wanted = new Set<string>();
    for (const gateway of this.#options.gateways.values()) {
      const named = parametersOf(gateway as Gateway);
      if (named.ok && named.value !== undefined) wanted.add(named.value);
    }
    for (const [key, watch] of this.#watches) {
      if (wanted.has(key)) continue;
      watch.stop();
      this.#watches.delete(key);
      this.#options.source.delete(key);
    }
    for (const key of wanted) if (!this.#watches.has(key)) this.#watches.set(key, this.#watch(key));
  }

  #watch(key: string): Informer<ConfigMap> {
    const { source } = this.#options;
    const [namespace, name = ''] = key.split('/');
    const watch = new Informer<ConfigMap>({
      ...this.#options,
      kind: CONFIG_MAP,
      selection: { namespace, fieldSelector: `metadata.name=${name}` },
    });
    watch.subscribe((changes) => {
      for (const change of changes) {
        if (change.op === 'set') source.set(change.key, change.object);
        else source.delete(change.key);
      }
    });
    watch.start();
    return watch;
  }
}
