// SPDX-License-Identifier: Apache-2.0
// Finds the route; what it says is done once the filters behind this one have let the request pass.
import type { CompiledTable } from '#lib/mesh/http/compiled-table.ts';
import { route } from '#lib/mesh/http/route.ts';
import { NO_PROOF } from '#lib/mesh/proof.ts';
import { type JudgedRequest, PASS, type Refusal, type RequestFilter, type Ruling } from './filter.ts';

const NO_ROUTE: Refusal = { kind: 'refuse', reply: { status: 404, body: '' }, flags: 'NR', details: 'route_not_found' };

export class RouteFilter implements RequestFilter {
  readonly #table: CompiledTable;

  constructor(table: CompiledTable) {
    this.#table = table;
  }

  judge(exchange: JudgedRequest): Ruling {
    const { origin, request, runtime } = exchange;
    const table = this.#table;
    if (!table.byPath) {
      exchange.routed = route(table, request, runtime.random, NO_PROOF, runtime.now());
      return PASS;
    }
    let verdict = origin.lastPath.verdict(table, request);
    if (verdict === null) {
      verdict = route(table, request, runtime.random, NO_PROOF, runtime.now());
      origin.lastPath.remember(table, request, verdict);
    }
    exchange.routed = verdict;
    return PASS;
  }
}

/** Where there are no routes. */
export const NO_ROUTES: RequestFilter = { judge: () => NO_ROUTE };
