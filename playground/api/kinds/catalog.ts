// SPDX-License-Identifier: Apache-2.0
// The resources served right now: built-in ones and those of established CRDs.
import type { Resource, ServedVersion } from './resource.ts';

export interface Served {
  readonly resource: Resource;
  readonly version: ServedVersion;
}

/** Order of groups in discovery: core first, then as clients like them. */
const byGroup = (a: Resource, b: Resource): number => (a.group < b.group ? -1 : a.group > b.group ? 1 : 0);

export class Catalog {
  readonly #resources = new Map<string, Resource>();
  /** Grows with every change; caches of discovery and OpenAPI compare it. */
  generation = 0;

  put(resource: Resource): void {
    this.#resources.set(`${resource.group}/${resource.plural}`, resource);
    this.generation++;
  }

  drop(group: string, plural: string): void {
    if (this.#resources.delete(`${group}/${plural}`)) this.generation++;
  }

  get(group: string, plural: string): Resource | undefined {
    return this.#resources.get(`${group}/${plural}`);
  }

  find(group: string, version: string, plural: string): Served | undefined {
    const resource = this.get(group, plural);
    const served = resource?.versions.get(version);
    return resource && served ? { resource, version: served } : undefined;
  }

  /** The resource of a kind, for owner references and the like. */
  byKind(group: string, kind: string): Resource | undefined {
    return this.all().find((resource) => resource.group === group && resource.kind === kind);
  }

  all(): Resource[] {
    return [...this.#resources.values()].sort(byGroup);
  }

  /** Versions by group, the preferred one first. */
  groups(): Map<string, string[]> {
    const groups = new Map<string, Set<string>>();
    for (const resource of this.all()) {
      const versions = groups.get(resource.group) ?? new Set<string>();
      for (const version of resource.versions.keys()) versions.add(version);
      groups.set(resource.group, versions);
    }
    return new Map([...groups].map(([group, versions]) => [group, [...versions].sort(compareVersions)]));
  }
}

/** Kubernetes version order: v2 before v1 before v1beta1 before v1alpha1, others by name. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [rank(a), rank(b)];
  for (let index = 0; index < left.length; index++)
    if (left[index] !== right[index]) return right[index]! - left[index]!;
  return a < b ? -1 : 1;
}

function rank(version: string): number[] {
  const match = /^v(\d+)(?:(alpha|beta)(\d+))?$/.exec(version);
  if (!match) return [0, 0, 0];
  const stage = match[2] === undefined ? 3 : match[2] === 'beta' ? 2 : 1;
  return [stage, Number(match[1]), Number(match[3] ?? 0)];
}
