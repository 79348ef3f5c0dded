// SPDX-License-Identifier: Apache-2.0
// How the sources of objects fare: each cluster's API server by kind, or a folder. A source that fails keeps its last
// state; here it is told, as a page and as a metric.

/** A part of a source: a kind of objects, a folder. */
export interface PartHealth {
  readonly part: string;
  readonly healthy: boolean;
  /** Why not; empty when it is well. */
  readonly reason: string;
  /** Wall-clock ms since which it is so. */
  readonly sinceMs: number;
}

export class SourceHealth {
  readonly #now: () => number;
  readonly #sources = new Map<string, Map<string, PartHealth>>();

  /** @param now wall-clock ms */
  constructor(now: () => number) {
    this.#now = now;
  }

  report(source: string, part: string, healthy: boolean, reason: string): void {
    const parts = this.#sources.get(source) ?? new Map<string, PartHealth>();
    this.#sources.set(source, parts);
    const known = parts.get(part);
    if (known?.healthy === healthy && known.reason === reason) return;
    const sinceMs = known?.healthy === healthy ? known.sinceMs : this.#now();
    parts.set(part, { part, healthy, reason, sinceMs });
  }

  /** Whether each source is well as a whole. */
  summary(): ReadonlyMap<string, boolean> {
    return new Map(
      [...this.#sources].map(([source, parts]) => [source, [...parts.values()].every((one) => one.healthy)]),
    );
  }

  /** The source is no more. */
  forget(source: string): void {
    this.#sources.delete(source);
  }

  /** Every source with its parts, those that fail first. */
  view(): Readonly<Record<string, readonly (Omit<PartHealth, 'sinceMs'> & { readonly since: string })[]>> {
    return Object.fromEntries(
      [...this.#sources].map(([source, parts]) => [
        source,
        [...parts.values()]
          .sort((a, b) => Number(a.healthy) - Number(b.healthy) || (a.part < b.part ? -1 : 1))
          .map(({ sinceMs, ...rest }) => ({ ...rest, since: new Date(sinceMs).toISOString() })),
      ]),
    );
  }
}
