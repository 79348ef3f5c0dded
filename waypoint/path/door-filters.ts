// SPDX-License-Identifier: Apache-2.0
// Which filters stand at a door, in the order in which requests meet them; none that has nothing to do there.
import type { JwtAuthenticator } from '#lib/mesh/http/authenticate-request.ts';
import type { PolicySet } from '#lib/mesh/http/authorize-request.ts';
import type { CompiledTable } from '#lib/mesh/http/compiled-table.ts';
import type { DoorRecord } from '../record/connection.ts';
import { CustomFilter } from './custom-filter.ts';
import { FaultFilter } from './fault-filter.ts';
import type { RequestFilter } from './filter.ts';
import { PolicyFilter } from './policy-filter.ts';
import { NO_ROUTES, RouteFilter } from './route-filter.ts';
import { TokenFilter } from './token-filter.ts';

const FAULTS = new FaultFilter();

/** What holds at a door. */
export interface DoorRules extends Pick<DoorRecord, 'behind' | 'settings'> {
  /** Undefined for a workload: there are no routes to it. */
  readonly table: CompiledTable | undefined;
  readonly access: PolicySet;
  /** Undefined when no tokens are looked for. */
  readonly authenticator: JwtAuthenticator | undefined;
}

export function filtersOf({ access, authenticator, behind, settings, table }: DoorRules): readonly RequestFilter[] {
  const filters: RequestFilter[] = [];
  if (access.custom.http.length > 0) filters.push(new CustomFilter(access.custom.http, settings.providers));
  if (authenticator !== undefined) filters.push(new TokenFilter(authenticator));
  if (access.http.length > access.custom.http.length) filters.push(new PolicyFilter(access.http));
  if (behind.kind === 'workload') return filters;
  if (table === undefined) filters.push(NO_ROUTES);
  else filters.push(new RouteFilter(table), FAULTS);
  return filters;
}
