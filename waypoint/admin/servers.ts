// SPDX-License-Identifier: Apache-2.0
// Admin pages (loopback only), metrics and readiness, on the ports that Istio's proxies use.
import { existsSync } from 'node:fs';
import { type AdminRequest, type AdminServer, json, type Reply, type Route, serveHttp, text } from '#lib/kit/admin.ts';
import type { Readiness } from '#lib/kit/readiness.ts';
import { formatProblem, type Result } from '#lib/kit/result.ts';
import type { Exposition } from '#lib/proxy/telemetry/exposition.ts';
import type { Config } from '../config.ts';
import type { Explanation } from './explain.ts';

export interface AdminParts {
  readonly readiness: Readiness;
  readonly exposition: Exposition;
  readonly dump: () => unknown;
  readonly explain: (query: URLSearchParams) => Result<Explanation>;
  readonly quit: () => void;
}

const INDEX = `<!doctype html><title>waypoint</title><h1>waypoint</h1><ul>
<li><a href="config_dump">config_dump</a>: mesh, routes, policies, certificates
<li><a href="debug/explain">debug/explain</a>?identity=SPIFFE&amp;source=IP&amp;to=IP:PORT&amp;method=…&amp;path=…&amp;header=…: what would become of a request
<li>quitquitquit (POST): drain and end
</ul>
`;
const OPEN_METRICS = 'application/openmetrics-text;charset=utf-8;version=1.0.0';

export async function serveAdmin({ admin }: Config, parts: AdminParts): Promise<AdminServer[]> {
  const servers: AdminServer[] = [];
  const wildcard = existsSync('/proc/sys/net/ipv6/conf/all') ? '::' : '0.0.0.0';
  const routes: readonly (readonly [string, number, Readonly<Record<string, Route>>])[] = [
    ['127.0.0.1', admin.port, adminRoutes(parts)],
    [wildcard, admin.statsPort, metricRoutes(parts.exposition)],
    [wildcard, admin.readyPort, { '/healthz/ready': (request) => ready(request, parts.readiness) }],
  ];
  try {
    for (const [host, port, table] of routes) servers.push(await serveHttp({ host, port, routes: table }));
  } catch (error) {
    await Promise.all(servers.map((server) => server.close()));
    throw error;
  }
  return servers;
}

function adminRoutes({ dump, explain, quit }: AdminParts): Readonly<Record<string, Route>> {
  return {
    '/': () => ({ type: 'text/html; charset=utf-8', body: INDEX }),
    '/config_dump': () => json(dump()),
    '/debug/explain': ({ query }) => {
      const answer = explain(query);
      if (answer.ok) return json(answer.value);
      return json({ error: answer.problems.map(formatProblem).join('; ') }, 404);
    },
    '/quitquitquit': ({ method }) => {
      if (method !== 'POST') return text('Invalid HTTP method\n', 405);
      quit();
      return text('shutdown now\n');
    },
  };
}

function metricRoutes(exposition: Exposition): Readonly<Record<string, Route>> {
  const serve = ({ headers }: AdminRequest): Reply => {
    const asked = headers.accept?.includes('application/openmetrics-text') === true;
    return { type: asked ? OPEN_METRICS : 'text/plain; charset=utf-8', body: exposition.text() };
  };
  return { '/metrics': serve, '/stats/prometheus': serve };
}

function ready({ method }: AdminRequest, readiness: Readiness): Reply {
  if (method !== 'GET') return text('Invalid HTTP method\n', 405);
  if (readiness.ready()) return text('ready\n');
  return text(`not ready, pending: ${readiness.pending().join(', ')}\n`, 503);
}
