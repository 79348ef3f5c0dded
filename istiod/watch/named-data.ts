// SPDX-License-Identifier: Apache-2.0
// Watches the Secrets and ConfigMaps that configuration names, each by its name and as long as something names it: nobody
// should read all Secrets of a cluster for the sake of a few.

import type { Collection, Source } from '#lib/collections/collection.ts';
import { Informer, type InformerOptions } from '#lib/kube/informer.ts';
import { CONFIG_MAP, type Kind, SECRET } from '#lib/kube/kind.ts';
import type { ConfigMap, KubeObject, Secret } from '#lib/kube/object.ts';
import type { NamedData, NamedRef } from '#lib/model/l7/named-data.ts';

export interface NamedDataOptions extends Omit<InformerOptions<KubeObject>, 'kind' | 'selection' | 'trim'> {
  readonly wanted: Collection<NamedRef>;
  readonly source: Pick<Source<NamedData>, 'set' | 'delete'>;
}

export class NamedDataWatch {
  readonly #options: NamedDataOptions;
  readonly #watches = new Map<string, Informer<KubeObject>>();
  readonly #unsubscribe: () => void;

  constructor(options: NamedDataOptions) {
    this.#options = options;
    for (const [key, ref] of options.wanted.entries()) this.#begin(key, ref);
    this.#unsubscribe = options.wanted.subscribe((changes) => {
      for (const { after, key } of changes) {
        if (after === undefined) this.#end(key);
        else if (!this.#watches.has(key)) this.#begin(key, after);
      }
    });
  }

  stop(): void {
    this.#unsubscribe();
    for (const watch of this.#watches.values()) watch.stop();
    this.#watches.clear();
  }

  #begin(key: string, { key: object, kind }: NamedRef): void {
    const { source } = this.#options;
    const [namespace, name = ''] = object.split('/');
    const watch = new Informer<KubeObject>({
      ...this.#options,
      kind: (kind === 'Secret' ? SECRET : CONFIG_MAP) as Kind<KubeObject>,
      selection: { namespace, fieldSelector: `metadata.name=${name}` },
    });
    watch.subscribe((changes) => {
      for (const change of changes) {
        if (change.op === 'set') source.set(key, textOf(kind, change.object));
        else source.delete(key);
      }
    });
    watch.start();
    this.#watches.set(key, watch);
  }

  #end(key: string): void {
    this.#watches.get(key)?.stop();
    this.#watches.delete(key);
    this.#options.source.delete(key);
  }
}

/** Secrets hold base64 of what they hold. */
function textOf(kind: NamedRef['kind'], object: KubeObject): NamedData {
  const { data = {} } = object as ConfigMap | Secret;
  if (kind === 'ConfigMap') return data;
  return Object.fromEntries(
    Object.entries(data).map(([name, value]) => [name, Buffer.from(value, 'base64').toString('utf8')]),
  );
}
