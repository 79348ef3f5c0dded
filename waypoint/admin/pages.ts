// SPDX-License-Identifier: Apache-2.0
// The waypoint's pages for those on its machine.
import { json, type Route } from '#lib/kit/admin.ts';
import { formatProblem, type Result } from '#lib/kit/result.ts';
import { indexPage } from '#lib/proxy/admin/servers.ts';
import type { Explanation } from './explain.ts';

export interface PageParts {
  readonly dump: () => unknown;
  readonly explain: (query: URLSearchParams) => Result<Explanation>;
}

const INDEX = [
  '<a href="config_dump">config_dump</a>: mesh, routes, policies, certificates',
  '<a href="debug/explain">debug/explain</a>?identity=SPIFFE&amp;source=IP&amp;to=IP:PORT&amp;method=…&amp;path=…&amp;header=…: what would become of a request',
];

export function adminPages({ dump, explain }: PageParts): Readonly<Record<string, Route>> {
  return {
    '/': indexPage('waypoint', INDEX),
    '/config_dump': () => json(dump()),
    '/debug/explain': ({ query }) => {
      const answer = explain(query);
      if (answer.ok) return json(answer.value);
      return json({ error: answer.problems.map(formatProblem).join('; ') }, 404);
    },
  };
}
