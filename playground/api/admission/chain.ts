// SPDX-License-Identifier: Apache-2.0
// Admission: what may look at, change or refuse a write before it is stored. Plugins run in order, first all that
// change, then all that only judge.
import type { JsonObject, KubeObject } from '../json.ts';
import type { WriteOptions } from '../registry/options.ts';
import type { Target } from '../registry/target.ts';

export interface AdmissionRequest {
  readonly target: Target;
  readonly operation: 'CREATE' | 'UPDATE' | 'DELETE' | 'CONNECT';
  /** The object to be stored; plugins change it in place. Undefined on DELETE. */
  readonly object: KubeObject | undefined;
  readonly before: KubeObject | undefined;
  readonly options: WriteOptions;
  readonly requestOptions?: JsonObject;
  /** Texts for Warning headers. */
  readonly warnings: string[];
}

export interface AdmissionPlugin {
  mutate?(request: AdmissionRequest): Promise<void> | void;
  validate?(request: AdmissionRequest): Promise<void> | void;
}

export class AdmissionChain implements AdmissionPlugin {
  readonly #plugins: readonly AdmissionPlugin[];

  constructor(plugins: readonly AdmissionPlugin[]) {
    this.#plugins = plugins;
  }

  async mutate(request: AdmissionRequest): Promise<void> {
    for (const plugin of this.#plugins) {
      const pending = plugin.mutate?.(request);
      if (pending) await pending;
    }
  }

  async validate(request: AdmissionRequest): Promise<void> {
    for (const plugin of this.#plugins) {
      const pending = plugin.validate?.(request);
      if (pending) await pending;
    }
  }
}
