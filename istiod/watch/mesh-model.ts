// SPDX-License-Identifier: Apache-2.0
// The mesh as istiod knows it: what the informers bring, derived into what clients are told.

import type { Logger } from '#lib/kit/log.ts';
import { formatProblem } from '#lib/kit/result.ts';
import type { ConfigMap } from '#lib/kube/object.ts';
import type { IstiodConfig } from '../config.ts';
import type { IstiodMetrics } from '../metrics.ts';
import type { Push } from '../push/push.ts';
import type { Informers } from './informers.ts';
import { defaultSettings, type MeshSettings, readMeshConfig } from './mesh-config.ts';

export interface MeshModelOptions {
  readonly config: IstiodConfig;
  readonly informers: Informers;
  readonly push: Push;
  readonly metrics: IstiodMetrics;
  readonly log: Logger;
}

export class MeshModel {
  readonly #options: MeshModelOptions;
  #settings: MeshSettings;

  constructor(options: MeshModelOptions) {
    this.#options = options;
    this.#settings = defaultSettings(options.config.namespace);
    options.informers.meshConfig.subscribe((changes) => {
      for (const change of changes) this.#configure(change.op === 'set' ? change.object : undefined);
    });
  }

  get settings(): MeshSettings {
    return this.#settings;
  }

  /** Named views of the state, for the debug pages. */
  views(): Readonly<Record<string, () => unknown>> {
    const { informers, push } = this.#options;
    return {
      mesh: () => this.#settings,
      ambientz: () => ({
        workloads: [...push.index.workloads.values()],
        services: [...push.index.services.values()],
      }),
      configz: () => [...informers.authorizationPolicies.values(), ...informers.peerAuthentications.values()],
      informersz: () =>
        Object.fromEntries(Object.entries(informers).map(([name, { size, state }]) => [name, { size, state }])),
    };
  }

  #configure(map: ConfigMap | undefined): void {
    const { config, log } = this.#options;
    const result = readMeshConfig(map, defaultSettings(config.namespace));
    if (result.ok) {
      this.#settings = result.value;
      log.info('mesh settings', { ...result.value });
      return;
    }
    for (const problem of result.problems)
      log.error('the mesh settings are not used', { problem: formatProblem(problem) });
  }
}
