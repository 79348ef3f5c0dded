// SPDX-License-Identifier: Apache-2.0
// ztunnel's three small HTTP servers: admin on loopback, metrics and readiness on every address.
import { readdirSync, readFileSync } from 'node:fs';
import { type AdminRequest, type AdminServer, json, type Reply, type Route, serveHttp, text } from '#lib/kit/admin.ts';
import type { Readiness } from '#lib/kit/readiness.ts';
import { formatProblem } from '#lib/kit/result.ts';
import type { MeshState } from '#lib/proxy/state/mesh-state.ts';
import type { Exposition } from '#lib/proxy/telemetry/exposition.ts';
import type { Config } from '../config.ts';
import type { ConnectionInfo, RecentConnection } from '../control.ts';
import { type ExplainOptions, explain } from './explain.ts';
import { type ProfileParts, profileRoutes } from './profile.ts';

/** What `/debug/connections` answers. */
export interface Connections {
  /** `workload` is namespace/name of the pod it was captured for. */
  readonly live: readonly (ConnectionInfo & { readonly workload: string })[];
  readonly recent: readonly RecentConnection[];
}

export interface AdminParts {
  readonly state: MeshState;
  readonly readiness: Readiness;
  readonly exposition: Exposition;
  readonly explainOptions: ExplainOptions;
  readonly dump: () => Promise<unknown>;
  readonly logging: Route;
  /** Connections that live, and those that ended last. */
  readonly connections: () => Promise<Connections>;
  readonly profiles: ProfileParts;
  /** What ending now would cut. */
  readonly drainPlan: () => Promise<unknown>;
  readonly quit: () => void;
}

const INDEX = `<!doctype html><title>ztunnel</title><h1>ztunnel</h1><ul>
<li><a href="config_dump">config_dump</a>: mesh, certificates, captured pods and their connections
<li>logging (POST): log levels
<li>debug/explain?from=NAMESPACE/POD&amp;to=HOST:PORT: verdict and proof for a connection that has not happened
<li>debug/connections?workload=NAMESPACE/POD&amp;failed=true: connections that live, and those that ended last with their proofs
<li>debug/drain: what ending now would cut
<li>debug/pprof/profile?seconds=10&amp;frequency=100&amp;process=main, debug/pprof/heap: profiles in V8's formats
<li>quitquitquit (POST): drain and end
</ul>
`;
const OPEN_METRICS = 'application/openmetrics-text;charset=utf-8;version=1.0.0';

export async function serveAdmin({ admin, worker }: Config, parts: AdminParts): Promise<AdminServer[]> {
  const servers: AdminServer[] = [];
  const wildcard = worker.ipv6 && hasIpv6() ? '::' : '0.0.0.0';
  const adminPages = adminRoutes(parts);
  const routes: readonly (readonly [string, number, Readonly<Record<string, Route>>])[] = [
    ['127.0.0.1', admin.port, adminPages],
    ...(hasLoopback6() ? [['::1', admin.port, adminPages] as const] : []),
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

function adminRoutes({
  state,
  dump,
  logging,
  quit,
  explainOptions,
  ...parts
}: AdminParts): Readonly<Record<string, Route>> {
  return {
    '/': () => ({ type: 'text/html; charset=utf-8', body: INDEX }),
    '/config_dump': async () => json(await dump()),
    '/logging': logging,
    '/quitquitquit': ({ method }) => {
      if (method !== 'POST') return text('Invalid HTTP method\n', 405);
      quit();
      return text('shutdown now\n');
    },
    '/debug/connections': async ({ query }) => json(filtered(await parts.connections(), query)),
    '/debug/drain': async () => json(await parts.drainPlan()),
    ...profileRoutes(parts.profiles),
    '/debug/explain': ({ query }) => {
      const [from, to] = [query.get('from'), query.get('to')];
      if (from === null || to === null) return text('needs from=NAMESPACE/POD and to=HOST:PORT\n', 400);
      const result = explain(state.mesh, from, to, explainOptions);
      return result.ok ? json(result.value) : json({ error: result.problems.map(formatProblem).join('; ') }, 404);
    },
  };
}

function metricRoutes(exposition: Exposition): Readonly<Record<string, Route>> {
  const serve = ({ headers }: AdminRequest): Reply => {
    const asked = headers.accept?.includes('application/openmetrics-text') === true;
    return { type: asked ? OPEN_METRICS : 'text/plain; charset=utf-8', body: exposition.text(), compressible: true };
  };
  return { '/metrics': serve, '/stats/prometheus': serve };
}

function ready({ method }: AdminRequest, readiness: Readiness): Reply {
  if (method !== 'GET') return text('Invalid HTTP method\n', 405);
  if (readiness.ready()) return text('ready\n');
  return text(`not ready, pending: ${readiness.pending().join(', ')}\n`, 500);
}

function filtered({ live, recent }: Connections, query: URLSearchParams): Connections {
  const workload = query.get('workload');
  const failed = query.get('failed') === 'true';
  const wanted = ({ error, srcWorkload, dstWorkload }: RecentConnection): boolean =>
    (workload === null || srcWorkload === workload || dstWorkload === workload) && (!failed || error !== '');
  return {
    live: failed ? [] : live.filter((one) => workload === null || one.workload === workload),
    recent: recent.filter(wanted),
  };
}

function hasLoopback6(): boolean {
  try {
    return readFileSync('/proc/sys/net/ipv6/conf/lo/disable_ipv6', 'utf8').trim() === '0';
  } catch {
    return false;
  }
}

function hasIpv6(): boolean {
  try {
    return readdirSync('/proc/sys/net/ipv6/conf').length > 0;
  } catch {
    return false;
  }
}
