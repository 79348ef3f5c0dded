// SPDX-License-Identifier: Apache-2.0
// The mesh from a YAML text: all there is of it for a proxy without a control plane, an addition otherwise. A file is read again whenever
// it changes; one that cannot be used then changes nothing and is told of.
import { readFile } from 'node:fs/promises';
import type { Clock } from '#lib/kit/clock.ts';
import { AmbitError, describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import { formatProblem } from '#lib/kit/result.ts';
import { readLocalMesh } from '#lib/proxy/source/local-file.ts';
import { watchFile } from '#lib/proxy/source/watch-file.ts';
import type { MeshState } from '#lib/proxy/state/mesh-state.ts';

/** Somebody may be at the keyboard. */
const SETTLE_MS = 200;

export interface LocalMeshOptions {
  readonly source: { readonly path: string } | { readonly text: string };
  readonly clusterId: string;
  readonly state: MeshState;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What a reading held, so that the next one can take away what it lacks. */
interface Held {
  readonly workloads: ReadonlySet<string>;
  readonly services: ReadonlySet<string>;
  readonly policies: ReadonlySet<string>;
}

const NOTHING: Held = { workloads: new Set(), services: new Set(), policies: new Set() };

export class LocalMesh {
  readonly #options: LocalMeshOptions;
  #held = NOTHING;
  #stop = (): void => {};

  constructor(options: LocalMeshOptions) {
    this.#options = options;
  }

  /** Reads the text, and goes on watching when it is a file. Throws LOCAL_MESH_INVALID when it cannot be used. */
  async start(): Promise<void> {
    await this.#read();
    const { clock, log, source } = this.#options;
    if (!('path' in source)) return;
    this.#stop = watchFile(source.path, { clock, log, settleMs: SETTLE_MS }, () => {
      this.#read().catch((error: unknown) => log.error('the mesh stays as it was', { error: describeError(error) }));
    });
  }

  close(): void {
    this.#stop();
  }

  async #read(): Promise<void> {
    const { clusterId, log, source, state } = this.#options;
    const place = 'path' in source ? source.path : 'LOCAL_XDS';
    const text = 'path' in source ? await readFile(source.path, 'utf8') : source.text;
    const mesh = readLocalMesh(text, clusterId);
    if (!mesh.ok) {
      throw new AmbitError(
        'LOCAL_MESH_INVALID',
        `${place} cannot be used:\n${mesh.problems.map((problem) => `  ${formatProblem(problem)}`).join('\n')}`,
      );
    }
    const { workloads, services, policies } = mesh.value;
    for (const workload of workloads) state.putWorkload(workload);
    for (const service of services) state.putService(service);
    for (const policy of policies) state.putPolicy(policy);
    const before = this.#held;
    this.#held = {
      workloads: new Set(workloads.map(({ uid }) => uid)),
      services: new Set(services.map(({ key }) => key)),
      policies: new Set(policies.map(({ key }) => key)),
    };
    for (const uid of before.workloads) if (!this.#held.workloads.has(uid)) state.removeWorkload(uid);
    for (const key of before.services) if (!this.#held.services.has(key)) state.removeService(key);
    for (const key of before.policies) if (!this.#held.policies.has(key)) state.removePolicy(key);
    state.flush();
    log.info('mesh read from a file', {
      file: place,
      workloads: workloads.length,
      services: services.length,
      policies: policies.length,
    });
  }
}
