// SPDX-License-Identifier: Apache-2.0
// Creates the GatewayClasses that are ours to answer for where they are missing. One that exists is left as it is.

import { describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import type { KubeClient } from '#lib/kube/client.ts';
import { isKubeError } from '#lib/kube/error.ts';
import type { Informer } from '#lib/kube/informer.ts';
import { GATEWAY_CLASS } from '#lib/kube/kind.ts';
import type { Term } from '#lib/kube/leader.ts';
import type { GenericObject } from '#lib/kube/object.ts';
import { createdClasses } from '#lib/model/gateway/classes.ts';

type CreatedClass = ReturnType<typeof createdClasses>[number];

export interface ClassCreatorOptions {
  readonly client: KubeClient;
  readonly log: Logger;
  readonly classes: Informer<GenericObject>;
  readonly ownClassesOnly: boolean;
}

export class ClassCreator {
  readonly #options: ClassCreatorOptions;

  constructor(options: ClassCreatorOptions) {
    this.#options = options;
  }

  /** Creates what is missing now, and again what is deleted, until the term ends. */
  lead({ holds, signal }: Term): void {
    const { classes, ownClassesOnly } = this.#options;
    const created = createdClasses(ownClassesOnly);
    for (const one of created) if (classes.get(one.className) === undefined) void this.#create(one);
    const stop = classes.subscribe((changes) => {
      for (const change of changes) {
        const deleted = created.find(({ className }) => className === change.key);
        if (change.op === 'delete' && deleted !== undefined && holds()) void this.#create(deleted);
      }
    });
    signal.addEventListener('abort', stop);
  }

  async #create({ className, controllerName, description }: CreatedClass): Promise<void> {
    const { client, log } = this.#options;
    try {
      await client.create(GATEWAY_CLASS, { metadata: { name: className }, spec: { controllerName, description } });
      log.info('created a GatewayClass', { class: className, controller: controllerName });
    } catch (error) {
      if (isKubeError(error, 'KUBE_CONFLICT')) return;
      // A Gateway of a built-in class works without the class object.
      log.warn('cannot create a GatewayClass', { class: className, error: describeError(error) });
    }
  }
}
