// SPDX-License-Identifier: Apache-2.0
// Applies manifests as `kubectl apply --server-side` does: definitions first, then namespaces, then the rest; kinds are
// looked up in the API's discovery, so anything the server knows can be applied.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import type { Clock } from '#lib/kit/clock.ts';
import { AmbitError } from '#lib/kit/error.ts';
import type { KubeClient } from '#lib/kube/client.ts';
import { isKubeError } from '#lib/kube/error.ts';
import { type Kind, kindOf } from '#lib/kube/kind.ts';
import type { KubeObject } from '#lib/kube/object.ts';

const FIELD_MANAGER = 'ambit-playground';
const RETRY_MS = 100;
/** How long a kind may stay unknown after its definition was applied. */
const KIND_MS = 20_000;
/** Requests under way at once. */
const WIDTH = 8;

export interface Manifest extends KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
}

/** Every object of the YAML files directly in `dir`, in file order; none when there is no such folder. */
export function readManifests(dir: string): Manifest[] {
  if (!existsSync(dir)) return [];
  const files = readdirSync(dir).filter((file) => /\.ya?ml$/.test(file));
  return files.sort().flatMap((file) => parseManifests(readFileSync(join(dir, file), 'utf8'), join(dir, file)));
}

/** The objects of one YAML text. Throws `MANIFEST` naming the file and what is wrong with it. */
export function parseManifests(text: string, file: string): Manifest[] {
  return parseAllDocuments(text).flatMap((document) => {
    if (document.errors.length > 0) throw new AmbitError('MANIFEST', `${file}: ${document.errors[0]!.message}`);
    const object = document.toJS() as Manifest | null;
    if (object === null) return [];
    if (typeof object.kind === 'string' && typeof object.metadata?.name === 'string') return [object];
    throw new AmbitError('MANIFEST', `${file}: a document has no kind or no name`);
  });
}

export class Installer {
  readonly #client: KubeClient;
  readonly #clock: Clock;
  readonly #kinds = new Map<string, Promise<Map<string, Kind>>>();

  constructor(client: KubeClient, clock: Clock) {
    this.#client = client;
    this.#clock = clock;
  }

  /** Applies all; resolves when the last one is stored. */
  async apply(manifests: readonly Manifest[]): Promise<void> {
    const rank = ({ kind }: Manifest): number =>
      kind === 'CustomResourceDefinition' ? 0 : kind === 'Namespace' ? 1 : 2;
    for (const step of [0, 1, 2]) {
      const queue = manifests.filter((manifest) => rank(manifest) === step);
      await Promise.all(
        Array.from({ length: WIDTH }, async () => {
          for (let next = queue.shift(); next !== undefined; next = queue.shift()) await this.#applyOne(next);
        }),
      );
    }
  }

  async #applyOne(manifest: Manifest): Promise<void> {
    const kind = await this.#kindOf(manifest);
    const object =
      kind.namespaced && manifest.metadata.namespace === undefined
        ? { ...manifest, metadata: { ...manifest.metadata, namespace: 'default' } }
        : manifest;
    await this.#client.apply(kind, object, { fieldManager: FIELD_MANAGER, force: true });
  }

  async #kindOf({ apiVersion, kind, metadata }: Manifest): Promise<Kind> {
    const deadline = this.#clock.monotonic() + KIND_MS;
    for (;;) {
      const found = (await this.#discover(apiVersion)).get(kind);
      if (found !== undefined) return found;
      if (this.#clock.monotonic() > deadline) {
        throw new AmbitError(
          'MANIFEST',
          `${kind} ${metadata.name}: the API server does not serve ${apiVersion} ${kind}`,
          {
            advice: 'is its CustomResourceDefinition installed?',
          },
        );
      }
      this.#kinds.delete(apiVersion);
      await this.#clock.sleep(RETRY_MS);
    }
  }

  #discover(apiVersion: string): Promise<Map<string, Kind>> {
    let kinds = this.#kinds.get(apiVersion);
    if (kinds === undefined) {
      kinds = this.#askFor(apiVersion);
      this.#kinds.set(apiVersion, kinds);
    }
    return kinds;
  }

  async #askFor(apiVersion: string): Promise<Map<string, Kind>> {
    const [group, version] = apiVersion.includes('/') ? (apiVersion.split('/') as [string, string]) : ['', apiVersion];
    try {
      const text = await this.#client.text(group === '' ? `/api/${version}` : `/apis/${apiVersion}`);
      const { resources = [] } = JSON.parse(text) as {
        resources?: { name: string; kind: string; namespaced: boolean }[];
      };
      return new Map(
        resources
          .filter(({ name }) => !name.includes('/'))
          .map(({ name, kind, namespaced }) => [kind, kindOf(group, version, kind, name, namespaced)]),
      );
    } catch (error) {
      if (isKubeError(error, 'KUBE_NOT_FOUND')) return new Map();
      throw error;
    }
  }
}
