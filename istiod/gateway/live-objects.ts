// SPDX-License-Identifier: Apache-2.0
// What is there of each Gateway: objects of the kinds we make, as the watches show them.

import type { Informer } from '#lib/kube/informer.ts';
import type { Kind } from '#lib/kube/kind.ts';
import { type GenericObject, type KubeObject, objectKey } from '#lib/kube/object.ts';
import type { OverlayKind } from '#lib/model/gateway/parameters.ts';
import { GATEWAY_MANAGED, GATEWAY_NAME } from '#lib/model/object/names.ts';
import type { Informers } from '../watch/informers.ts';

export class LiveObjects {
  readonly #informers: Readonly<Record<OverlayKind, Informer<KubeObject>>>;
  /** `namespace/gateway` to the objects made for it, by kind and key. */
  readonly #byGateway = new Map<string, Map<string, GenericObject>>();

  /** `onChange` is told the key of the Gateway whose objects changed. */
  constructor(informers: Informers, onChange: (gateway: string) => void) {
    const of = <T extends KubeObject>(informer: Informer<T>) => informer as unknown as Informer<KubeObject>;
    this.#informers = {
      ServiceAccount: of(informers.serviceAccounts),
      Service: of(informers.services),
      Deployment: of(informers.deployments),
      HorizontalPodAutoscaler: of(informers.autoscalers),
      PodDisruptionBudget: of(informers.disruptionBudgets),
    };
    for (const [kind, informer] of Object.entries(this.#informers)) {
      informer.subscribe((changes) => {
        for (const change of changes) {
          const old = change.old === undefined ? undefined : gatewayOf(change.old);
          if (old !== undefined) this.#take(old, `${kind} ${change.key}`);
          const now = change.op === 'set' ? gatewayOf(change.object) : undefined;
          if (change.op === 'set' && now !== undefined) this.#put(now, `${kind} ${change.key}`, change.object);
          for (const gateway of new Set([old, now])) if (gateway !== undefined) onChange(gateway);
        }
      });
    }
  }

  kind(name: OverlayKind): Kind {
    return this.#informers[name].kind as Kind;
  }

  get(kind: OverlayKind, object: KubeObject): GenericObject | undefined {
    return this.#informers[kind].get(objectKey(object));
  }

  /** Everything that bears the Gateway's name, by `Kind namespace/name`. */
  of(gateway: string): ReadonlyMap<string, GenericObject> {
    return this.#byGateway.get(gateway) ?? new Map();
  }

  #put(gateway: string, id: string, object: GenericObject): void {
    const known = this.#byGateway.get(gateway);
    if (known === undefined) this.#byGateway.set(gateway, new Map([[id, object]]));
    else known.set(id, object);
  }

  #take(gateway: string, id: string): void {
    const known = this.#byGateway.get(gateway);
    known?.delete(id);
    if (known?.size === 0) this.#byGateway.delete(gateway);
  }
}

function gatewayOf({ metadata: { labels = {}, namespace = '' } }: KubeObject): string | undefined {
  const name = labels[GATEWAY_NAME];
  return name === undefined || labels[GATEWAY_MANAGED] === undefined ? undefined : `${namespace}/${name}`;
}
