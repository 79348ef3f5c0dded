// SPDX-License-Identifier: Apache-2.0
// What the last request of a connection came to by its path, for the next that has the same.
import type { CompiledTable } from '#lib/mesh/http/compiled-table.ts';
import { normalisePath } from '#lib/mesh/http/path-normalise.ts';
import type { RequestView } from '#lib/mesh/http/request.ts';
import type { RouteVerdict } from '#lib/mesh/http/route-verdict.ts';
import type { PathNormalisation } from '#lib/mesh/http/waypoint.ts';

export class LastPath {
  #raw = '';
  #how: PathNormalisation = 'none';
  #path: string | undefined;
  #table: CompiledTable | null = null;
  #authority = '';
  #verdict: RouteVerdict | null = null;
  /** Of the verdict. */
  #routed = '';

  /** See {@link normalisePath}. */
  normalised(raw: string, how: PathNormalisation): string | undefined {
    if (raw !== this.#raw || how !== this.#how) {
      this.#path = normalisePath(raw, how);
      this.#raw = raw;
      this.#how = how;
    }
    return this.#path;
  }

  /** What a table that looks at nothing but host and path said; null if it was not asked for these. */
  verdict(table: CompiledTable, { authority, path }: RequestView): RouteVerdict | null {
    return table === this.#table && path === this.#routed && authority === this.#authority ? this.#verdict : null;
  }

  remember(table: CompiledTable, { authority, path }: RequestView, verdict: RouteVerdict): void {
    this.#table = table;
    this.#authority = authority;
    this.#routed = path;
    this.#verdict = verdict;
  }
}
