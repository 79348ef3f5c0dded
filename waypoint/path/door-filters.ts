// SPDX-License-Identifier: Apache-2.0
// Which filters stand at a door, in the order in which requests meet them; none that has nothing to do there.

import { CustomFilter } from './custom-filter.ts';
import type { Door } from './door.ts';
import { FaultFilter } from './fault-filter.ts';
import type { RequestFilter } from './filter.ts';
import { PolicyFilter } from './policy-filter.ts';
import { NO_ROUTES, RouteFilter } from './route-filter.ts';
import { TokenFilter } from './token-filter.ts';

const FAULTS = new FaultFilter();

export function filtersOf({
  access,
  authenticator,
  behind,
  settings,
  table,
}: Omit<Door, 'filters'>): readonly RequestFilter[] {
  const filters: RequestFilter[] = [];
  if (access.custom.http.length > 0) filters.push(new CustomFilter(access.custom.http, settings.providers));
  if (authenticator !== undefined) filters.push(new TokenFilter(authenticator));
  if (access.http.length > access.custom.http.length) filters.push(new PolicyFilter(access.http));
  if (behind.kind === 'workload') return filters;
  if (table === undefined) filters.push(NO_ROUTES);
  else filters.push(new RouteFilter(table), FAULTS);
  return filters;
}
